"""How a run is asked to stop: the mark in its storage, SIGTERM to the driver, what workers and driver do then."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.storage import Folder
from genomics_fm.training.metrics import PREEMPTED, STOPPED, MetricsLog, read_events
from jobs import launch, pretrain_ray, pretrain_stop
from jobs.pretrain_ray import Progress, Scale, fit
from jobs.pretrain_stop import AT_ONCE, MARK, Stopping, Told, ask, grace_seconds, stoppable

SCALE = Scale(2, 0, False, 0, 60.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads that look often, no Ray, and the handler of SIGTERM that a job has."""
    monkeypatch.setattr(pretrain_stop, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(pretrain_stop, "_preempted", lambda: False)
    before = signal.signal(signal.SIGTERM, launch.terminate)
    yield
    signal.signal(signal.SIGTERM, before)


def soon(so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not so() and time.monotonic() < until:
        time.sleep(0.01)
    return so()


def told(folder: Path, start: str, rank: int = 0) -> Told:
    return Told(str(folder), start, rank)


def test_a_run_is_asked_through_its_storage_and_rank_0_says_so_for_all(tmp_path: Path) -> None:
    with stoppable(Folder(tmp_path), 1) as stopping:
        workers = [told(tmp_path, stopping.start, rank) for rank in range(2)]
        time.sleep(0.05)
        assert not any(worker.asked() for worker in workers)
        ask(Folder(tmp_path))
        assert soon(workers[0].asked) and not workers[1].asked()
        workers[0].step = 7
        assert [worker.ended() for worker in workers] == [STOPPED, None]
        assert not stopping.told
    [event] = read_events(Folder(tmp_path))
    assert (event["event"], event["step"]) == ("stopped", 7)
    assert not (tmp_path / MARK).exists()


def test_what_an_earlier_start_was_asked_does_not_count(tmp_path: Path) -> None:
    earlier = Stopping(Folder(tmp_path), 1, lambda: True)
    ask(Folder(tmp_path))
    left_over = (tmp_path / MARK).read_bytes()
    now = Stopping(Folder(tmp_path), 1, lambda: True)
    assert not pretrain_stop._asked(Folder(tmp_path), now.start)
    (tmp_path / MARK).write_bytes(left_over)  # as a node may see it whose file system is slow to tell
    assert not pretrain_stop._asked(Folder(tmp_path), now.start)
    assert pretrain_stop._asked(Folder(tmp_path), earlier.start)


def test_a_start_that_ends_late_leaves_the_next_ones_mark(tmp_path: Path) -> None:
    earlier, now = (Stopping(Folder(tmp_path), 1, lambda: True) for _ in range(2))
    earlier.close()
    ask(Folder(tmp_path))
    assert pretrain_stop._asked(Folder(tmp_path), now.start)
    now.close()
    assert not (tmp_path / MARK).exists()


def test_where_no_run_goes_on_nobody_can_be_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stop\.json: no such file; no run goes on there"):
        ask(Folder(tmp_path))
    with pytest.raises(InputError, match="no run goes on there"):
        with stoppable(Folder(tmp_path), 1):
            pass
        ask(Folder(tmp_path))


def test_a_preemption_is_a_reason_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notices = iter([False, False, True])
    monkeypatch.setattr(pretrain_stop, "_preempted", lambda: next(notices))
    worker = told(tmp_path, "start")
    worker.step = 3
    assert soon(worker.asked) and worker.ended() == PREEMPTED
    assert [event["event"] for event in read_events(Folder(tmp_path))] == [PREEMPTED]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_workers_and_the_job_lives_on(
    number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with stoppable(Folder(tmp_path), 60) as stopping:
        os.kill(os.getpid(), number)
        assert soon(lambda: pretrain_stop._asked(Folder(tmp_path), stopping.start)) and stopping.told == number
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{number.name}: waiting up to 60 s" in said
    signal.signal(number, before)


def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, stoppable(Folder(tmp_path), 60):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stoppable(Folder(tmp_path), 60):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("away", [False, True])
def test_it_ends_when_the_grace_is_over_or_nobody_can_be_told(
    away: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise EnvironmentFault("stop.json: disk full; free some space")

    ending = stoppable(Folder(tmp_path), 60 if away else 0.05)
    with pytest.raises(SystemExit) as ended, ending:
        if away:
            monkeypatch.setattr(Folder, "write_json", refused)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143
    said = capsys.readouterr().err
    assert ("disk full" if away else "no checkpoint within that time") in said
    assert "the same command goes on from the newest checkpoint" in said


def test_before_any_worker_has_begun_there_is_nothing_to_wait_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = MetricsLog(Folder(tmp_path))
    log.start(0, 10, ["a"], [])  # of an earlier start
    progress = Progress(Folder(tmp_path), SCALE)
    with pytest.raises(SystemExit) as ended, stoppable(Folder(tmp_path), 60, progress.begun):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143
    assert "SIGTERM before any worker has begun: ending; the same command goes on" in capsys.readouterr().err
    log.start(0, 10, ["a"], [])
    assert progress.begun()
    log.close()


def test_workers_that_the_cluster_has_no_room_for_are_said_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = [2.0]
    monkeypatch.setattr(launch, "nodes", lambda: [{"resources": {"CPU": count}} for count in cpus])
    log = MetricsLog(Folder(tmp_path))
    log.start(0, 10, ["a"], [])
    log.add({"step": 1, "loss": {}, "tokens": 9, "seconds": 1.0, "unixtime": 1.0})
    log.flush()

    def line(*scale: Any) -> str | None:
        return Progress(Folder(tmp_path), Scale(*scale)).line()

    waits = "[pretrain] waiting for nodes: 3 CPUs are needed, the cluster has 2; add nodes, or start it with fewer"
    assert line(3, 0, False, 0, 60.0) == f"{waits} --workers, or with --workers-min"
    assert line(4, 3, False, 0, 60.0) == f"{waits} --workers"
    assert "1 GPUs are needed, the cluster has 0;" in (line(1, 0, True, 0, 60.0) or "")
    assert line(2, 0, False, 0, 60.0) is None and line(3, 2, False, 0, 60.0) is None
    progress = Progress(Folder(tmp_path), Scale(3, 0, False, 0, 60.0))
    assert progress.line() and progress.line() is None  # not again so soon
    log.start(1, 10, ["a"], [])
    log.add({"step": 2, "loss": {}, "tokens": 9, "seconds": 1.0, "unixtime": 1.0})
    log.close()
    assert "step 2/10" in (progress.line() or "")
    (tmp_path / "metrics.jsonl").open("a").write("no json\n")
    assert "a line is not JSON" in (progress.line() or "") and progress.begun()


def test_after_the_block_signals_end_the_job_as_before(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in AT_ONCE]
    with stoppable(Folder(tmp_path), 60) as stopping:
        assert [signal.getsignal(number) for number in AT_ONCE] == [stopping.tell] * 2
    assert [signal.getsignal(number) for number in AT_ONCE] == before == [launch.terminate, before[1]]


@pytest.mark.parametrize(
    ("variable", "given", "grace"), [(None, None, 25), ("60", None, 55), ("3", None, 0), ("9", 4, 4)]
)
def test_the_grace_is_what_a_stopped_job_has(
    variable: str | None, given: float | None, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(pretrain_stop.WAIT_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(pretrain_stop.WAIT_VARIABLE, variable)
    assert grace_seconds(given) == grace


def test_a_wait_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pretrain_stop.WAIT_VARIABLE, "a minute")
    with pytest.raises(InputError, match="RAY_JOB_STOP_WAIT_TIME_S a minute: not a number of seconds"):
        grace_seconds(None)


def trained(monkeypatch: pytest.MonkeyPatch, *ends: str | None) -> list[str]:
    """Let `fit` find these ends, one after the other; the names of the starts that were made."""
    starts: list[str] = []

    def once(settings: dict[str, str], _scale: Scale) -> str | None:
        starts.append(settings["start"])
        return ends[len(starts) - 1]

    monkeypatch.setattr(pretrain_ray, "_fit_once", once)
    return starts


def test_a_preempted_run_goes_on_and_can_still_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = trained(monkeypatch, PREEMPTED, PREEMPTED, None)
    fit(Folder(tmp_path), {}, SCALE, 1)
    assert len(starts) == 3 and len(set(starts)) == 1
    trained(monkeypatch, PREEMPTED, STOPPED)
    with pytest.raises(SystemExit) as ended:
        fit(Folder(tmp_path), {}, SCALE, 1)
    assert ended.value.code == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_exit_code_is_that_of_the_signal(
    number: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(_settings: dict[str, str], _scale: Scale) -> str:
        log = MetricsLog(Folder(tmp_path))
        log.start(0, 10, ["a"], [])  # there is something to wait for
        log.close()
        os.kill(os.getpid(), number)
        return STOPPED

    monkeypatch.setattr(pretrain_ray, "_fit_once", once)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        fit(Folder(tmp_path), {}, SCALE, 60)
    assert ended.value.code == code
    signal.signal(number, before)


@pytest.mark.parametrize(("message", "told"), [("first line\nlast line", "last line"), ("", r"ValueError\(''\)")])
def test_what_a_trainer_raises_in_its_thread_is_one_line(
    message: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trainer:
        def fit(self) -> None:
            raise ValueError(message)

    monkeypatch.setattr(pretrain_ray, "_trainer", lambda *_: Trainer())
    with pytest.raises(EnvironmentFault, match=f"pretraining failed: {told}; run the same command again"):
        pretrain_ray._fit_once({}, SCALE)

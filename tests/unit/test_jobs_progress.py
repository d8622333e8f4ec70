import threading
import time

import pytest

from jobs.progress import Clock, rate, say, watched


@pytest.mark.parametrize(
    ("count", "seconds", "expected"),
    [(12, 10, "1.2 nt/s"), (0, 5, "0.0 nt/s"), (5_000, 2, "2.5 k nt/s"), (3e6, 2, "1.5 M nt/s"),
     (4e9, 1, "4.0 G nt/s"), (999, 1, "999.0 nt/s")],
)  # fmt: skip
def test_rates_are_short(count: float, seconds: float, expected: str) -> None:
    assert rate(count, seconds, "nt") == expected


def test_no_time_at_all_is_no_error() -> None:
    assert rate(1, 0, "nt").endswith("nt/s")


def test_what_is_said_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("half way")
    assert capsys.readouterr() == ("", "half way\n")


def test_what_is_new_is_printed_while_the_block_runs(capsys: pytest.CaptureFixture[str]) -> None:
    texts = iter([None, "one", "one", "two"])
    asked, all_asked = [], threading.Event()

    def look() -> str | None:
        asked.append(1)
        if len(asked) >= 5:
            all_asked.set()
        return next(texts, "two")

    with watched(look, interval_seconds=0.005):
        assert all_asked.wait(10)
    count = len(asked)
    assert capsys.readouterr().err == "one\ntwo\n"
    time.sleep(0.03)
    assert len(asked) == count  # the watcher has gone


def test_an_error_in_the_block_passes_and_ends_the_watcher() -> None:
    with pytest.raises(ZeroDivisionError), watched(lambda: None, interval_seconds=0.005):
        _ = 1 / 0
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_clock_runs() -> None:
    clock = Clock()
    time.sleep(0.01)
    assert 0.01 <= clock.seconds < 5


def test_the_last_state_is_said_even_between_two_looks(capsys: pytest.CaptureFixture[str]) -> None:
    state = ["step 1"]
    with watched(lambda: state[-1], interval_seconds=60):
        state.append("step 40")
    assert capsys.readouterr().err == "step 40\n"

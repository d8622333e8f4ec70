"""`ray job stop` in the middle of a submitted pretraining: the job is STOPPED, and the next goes on where it was."""

import time
import uuid
from pathlib import Path

import pytest

from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events, read_metrics
from tests.pretrainings import STEPS, WAIT_SECONDS, Pretraining
from tests.submissions import AGENT_TRIES, Cluster, ray_job, write_runtime

STOP_STEP = 10


def submit(cluster: Cluster, run: Pretraining, runtime: Path) -> str:
    """Submit the run's command; the job's name."""
    name = f"pretrain-{uuid.uuid4().hex[:8]}"
    options = ("--no-wait", "--submission-id", name, "--runtime-env", str(runtime), "--working-dir", ".")
    for _ in range(AGENT_TRIES):
        said = ray_job(cluster, "submit", *options, "--", "python", "-m", "jobs.pretrain", *run.arguments)
        if "No available agent" not in said:
            assert name in said, said
            return name
        time.sleep(2)  # the head answers before the agent that takes jobs has registered
    raise AssertionError(said)


def wait_for_status(cluster: Cluster, name: str, words: str) -> None:
    """Wait until `ray job status` says so of the job, in its own words."""
    until = time.monotonic() + WAIT_SECONDS
    while words not in (said := ray_job(cluster, "status", name)):
        ended = any(other in said for other in ("was stopped", "succeeded", "failed"))
        assert time.monotonic() < until and not ended, ray_job(cluster, "logs", name)[-3_000:]
        time.sleep(1)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_it_goes_on_where_it_was(
    cluster: Cluster, pretraining_corpus: Path, undisturbed: Pretraining, tmp_path: Path
) -> None:
    run = Pretraining(pretraining_corpus, tmp_path / "runs", STEPS)
    runtime = write_runtime(tmp_path, run.places())
    name = submit(cluster, run, runtime)
    until = time.monotonic() + WAIT_SECONDS
    while not [line for line in read_metrics(Folder(run.folder)) if line["step"] >= STOP_STEP]:
        assert time.monotonic() < until, ray_job(cluster, "logs", name)[-3_000:]
        time.sleep(0.1)
    ray_job(cluster, "stop", name)
    wait_for_status(cluster, name, "was stopped")
    wait_for_status(cluster, submit(cluster, run, runtime), "succeeded")
    events = [(event["event"], event["step"]) for event in read_events(Folder(run.folder))]
    assert [kind for kind, _ in events] == ["start", "stopped", "start"]
    assert events[1][1] == events[2][1] >= STOP_STEP
    assert run.outcome() == undisturbed.outcome()

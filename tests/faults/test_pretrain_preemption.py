"""A node of a real cluster that will be taken away: a checkpoint at once, on another node, and no failure counted."""

import time
from pathlib import Path

import pytest
import ray._raylet
from ray.core.generated import autoscaler_pb2

from genomics_fm.storage import Folder
from genomics_fm.training.metrics import read_events
from tests.clusters import nodes
from tests.pretrainings import STEPS, Pretraining

NOTICE_SECONDS = 60
EARLY_STEP = 10


def announce(address: str, node: str) -> None:
    """Tell Ray, as a cloud's autoscaler does, that a node will be taken away."""
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline = int((time.time() + NOTICE_SECONDS) * 1000)
    accepted, why_not = ray._raylet.GcsClient(address=address).drain_node(node, reason, "a test", deadline)
    assert accepted, why_not


@pytest.mark.full
def test_it_goes_on_on_another_node_with_nothing_lost(
    pretraining_corpus: Path, undisturbed: Pretraining, tmp_path: Path
) -> None:
    (tmp_path / "cluster").mkdir()
    run = Pretraining(pretraining_corpus, tmp_path / "runs", STEPS, "--max-failures=0")
    with nodes(tmp_path / "cluster", 3, {"RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5"}) as (cluster, _), run:
        run.start(RAY_ADDRESS=cluster.address)
        run.wait_for_step(EARLY_STEP)
        [first] = read_events(Folder(run.folder))
        announce(cluster.address, first["nodes"][0])
        assert run.end(None) == 0, run.log.read_text()
    events = read_events(Folder(run.folder))
    assert [event["event"] for event in events] == ["start", "preempted", "start"]
    assert events[1]["step"] == events[2]["step"] >= EARLY_STEP
    assert first["nodes"][0] not in events[2]["nodes"]
    assert run.outcome() == undisturbed.outcome()

"""`ray job submit` on a cluster of its own: the quickstart runs there, registers there, and emits its metrics there."""

import contextlib
import json
import re
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from genomics_fm.inference.head import load_head
from jobs import register
from tests.commands import ROOT
from tests.metric_names import names_in_dashboards
from tests.submissions import AGENT_TRIES, NODE_RESOURCE, Cluster, write_runtime

SUBMIT_SECONDS = 420
NOT_SCORED = {f"ray_genomics_fm_validation_{name}" for name in ("loss", "accuracy", "bits", "markov_accuracy")}
"""The quickstart gives its pretraining no held-out sequence."""


@dataclass(frozen=True)
class Submitted:
    code: int
    output: str
    storage: Path
    tracking: str
    metrics: set[str]


@pytest.fixture(scope="module")
def submitted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """The issue's command, with storage and tracking set through the runtime environment."""
    folder = tmp_path_factory.mktemp("submitted")
    storage, tracking = folder / "storage", f"sqlite:///{folder / 'tracking.db'}"
    path = write_runtime(folder, {"GENOMICS_FM_STORAGE": str(storage), "GENOMICS_FM_TRACKING": tracking})
    command = [
        "ray", "job", "submit", "--address", cluster.dashboard, "--runtime-env", str(path), "--working-dir", ".",
        "--", "python", "-m", "jobs.quickstart", "--preset", "smoke",
    ]  # fmt: skip
    for _ in range(AGENT_TRIES):
        code, output, scraped = submit(command, cluster)
        if "No available agent" not in output:
            break
        time.sleep(2)  # the head answers before the agent that takes jobs has registered
    return Submitted(code, output, storage, tracking, scraped | scrape(cluster.metrics))


def submit(command: list[str], cluster: Cluster) -> tuple[int, str, set[str]]:
    """Exit code and output of a submission, and the metrics seen while it ran."""
    scraped: set[str] = set()
    lines: list[str] = []
    until = time.monotonic() + SUBMIT_SECONDS
    process = subprocess.Popen(
        command, cwd=ROOT, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if time.monotonic() > until:
            process.kill()
        if re.search(r"\[(pretrain|sweep|serving)\]", line):
            scraped |= scrape(cluster.metrics)
    return process.wait(), "".join(lines), scraped


def scrape(url: str) -> set[str]:
    """Names of the metrics a node exports now."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
        return set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", answer.read().decode(), flags=re.MULTILINE))
    return set()


def test_the_submitted_quickstart_succeeds_with_every_stage(submitted: Submitted) -> None:
    assert submitted.code == 0, submitted.output[-3000:]
    result = json.loads((submitted.storage / "quickstart-smoke" / "result.json").read_text())
    assert [stage["name"] for stage in result["stages"]] == [
        "corpus", "vocabulary", "pretraining", "task", "sweep", "registry", "serving",
    ]  # fmt: skip
    assert not any(stage["skipped"] for stage in result["stages"])
    assert result["serving"]["sequences"] >= 100
    assert result["serving"]["max_difference"] <= 1e-5
    assert len(result["arms"]) == 4


def test_its_tasks_ran_on_the_submitted_cluster(submitted: Submitted) -> None:
    result = json.loads((submitted.storage / "quickstart-smoke" / "result.json").read_text())
    nodes = result["cluster"]["nodes"]
    assert len(nodes) == 1
    assert NODE_RESOURCE in nodes[0]["resources"]
    assert result["cluster"]["started_here"] is False
    assert set(result["cluster"]["task_nodes"]) == {nodes[0]["id"]}


def test_the_registered_model_is_in_the_given_tracking_store(submitted: Submitted) -> None:
    located = register.resolve("models:/yeast_coding@champion", submitted.tracking)
    assert located.version == "1"
    assert located.folder.is_relative_to(submitted.storage)
    assert load_head(located.folder).card.task == "yeast_coding"


def test_every_metric_of_the_dashboards_is_emitted(submitted: Submitted) -> None:
    wanted = names_in_dashboards(ROOT / "dashboards")
    assert len(wanted) > 10
    assert wanted - submitted.metrics == NOT_SCORED


def test_nothing_was_written_beside_storage(submitted: Submitted) -> None:
    assert not (ROOT / "mlruns").exists()
    assert (submitted.storage / "quickstart-smoke" / "report.html").stat().st_size > 10_000

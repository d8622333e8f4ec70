"""`ray job submit` on a cluster of its own: the quickstart runs there, registers there, and emits its metrics there."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from genomics_fm.inference.head import load_head
from jobs import register
from tests.metric_names import names_in_dashboards

ROOT = Path(__file__).parents[2]
NODE_RESOURCE = "submitted_cluster"
SUBMIT_SECONDS = 420
AGENT_TRIES = 30


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True)
class Cluster:
    dashboard: str
    metrics: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head node on free ports, with a temporary folder and a token of its own."""
    gcs, dashboard, metrics, client, agent_http, agent_grpc = free_ports(6)
    folder = Path(f"/tmp/gfm-e2e-{secrets.token_hex(4)}")  # sockets below it: the path must be short
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_metrics_report_interval_ms": "1000",  # smoke stages are shorter than the default ten seconds
    }
    command = [
        "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=4", "--include-dashboard=true",
        f"--port={gcs}", f"--dashboard-port={dashboard}", f"--metrics-export-port={metrics}",
        f"--dashboard-agent-listen-port={agent_http}", f"--dashboard-agent-grpc-port={agent_grpc}",
        f"--ray-client-server-port={client}", f"--temp-dir={folder}", f"--resources={json.dumps({NODE_RESOURCE: 1})}",
        "--object-store-memory=300000000",
    ]  # fmt: skip
    log = (tmp_path_factory.mktemp("head") / "head.log").open("w")
    head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_for(f"{address}/api/version", environment["RAY_AUTH_TOKEN"])
        exported = f"http://127.0.0.1:{metrics}/metrics"
        wait_for(exported, environment["RAY_AUTH_TOKEN"])  # by the agent that will take the job
        yield Cluster(address, exported, environment)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        log.close()


def wait_for(url: str, token: str, seconds: float = 90) -> None:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


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
    runtime = yaml.safe_load((ROOT / "jobs" / "runtime_env.yaml").read_text())
    runtime.setdefault("env_vars", {}).update({"GENOMICS_FM_STORAGE": str(storage), "GENOMICS_FM_TRACKING": tracking})
    path = folder / "runtime_env.yaml"
    path.write_text(yaml.safe_dump(runtime))
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
    assert wanted - submitted.metrics == set()


def test_nothing_was_written_beside_storage(submitted: Submitted) -> None:
    assert not (ROOT / "mlruns").exists()
    assert (submitted.storage / "quickstart-smoke" / "report.html").stat().st_size > 10_000

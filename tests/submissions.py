"""Ray clusters on this machine that take jobs, and what is said to them."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.commands import ROOT
from tests.processes import descendants, survivors

NODE_RESOURCE = "submitted_cluster"
AGENT_TRIES = 30
ANSWER_SECONDS = 120


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


@contextlib.contextmanager
def job_cluster(place: Path) -> Iterator[Cluster]:
    """A head node on free ports, with a temporary folder and a token of its own; its log goes to a place.

    It is killed in the end: it would take the 20 seconds for which Ray's agents look for a head that has gone.
    """
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
    log = (place / "head.log").open("w")
    head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_for(f"{address}/api/version", environment["RAY_AUTH_TOKEN"])
        exported = f"http://127.0.0.1:{metrics}/metrics"
        wait_for(exported, environment["RAY_AUTH_TOKEN"])  # by the agent that will take the job
        yield Cluster(address, exported, environment)
    finally:
        family = descendants(head.pid)
        head.kill()
        head.wait()
        survivors(family, 0)
        shutil.rmtree(folder, ignore_errors=True)
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


def write_runtime(folder: Path, environment: dict[str, str]) -> Path:
    """The runtime environment of the documentation's command, with more variables."""
    runtime = yaml.safe_load((ROOT / "jobs" / "runtime_env.yaml").read_text())
    runtime.setdefault("env_vars", {}).update(environment)
    path = folder / "runtime_env.yaml"
    path.write_text(yaml.safe_dump(runtime))
    return path


def ray_job(cluster: Cluster, verb: str, *arguments: str) -> str:
    """What `ray job <verb>` prints."""
    command = ["ray", "job", verb, "--address", cluster.dashboard, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=cluster.environment, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
    )
    return done.stdout + done.stderr

"""Serve a head over HTTP with Ray Serve: `POST /v1/predict`, `GET /v1/model`, `GET /v1/health`."""

import contextlib
import logging
import math
import os
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genomics_fm.client import Client
from genomics_fm.errors import EnvironmentFault, InputError, require
from genomics_fm.inference.card import read_card
from jobs import config as job_config
from jobs import launch, register, tracking
from jobs.serve_http import Limits

if TYPE_CHECKING:
    from ray.serve import Application

WILDCARDS = ("0.0.0.0", "::")
STOP_SECONDS = 5
BACKSTOP_S = 10
"""The proxy gives up this much later than the replica, whose refusals say more."""
ROUTE_S = 30
"""A proxy learns of a new route a moment after the application runs; until then the path is unknown to it."""


@dataclass(frozen=True)
class ServeConfig:
    """What to serve, where, and how much of it."""

    model: str = field(
        default="models:/yeast_coding@champion",
        metadata={"help": "models:/name@alias, models:/name/version or a head folder"},
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on; the port has no authentication"})
    port: int = field(default=8000, metadata={"help": "port to listen on; 0 takes a free one"})
    tracking: str | None = field(default=None, metadata={"help": "tracking URI; SQLite in the storage folder"})
    replicas: int = field(default=1, metadata={"help": "processes that each hold the model"})
    replica_cpus: float = field(default=0.5, metadata={"help": "Ray CPUs a replica reserves"})
    in_flight: int = field(default=64, metadata={"help": "requests a replica works on at once; more get 503"})
    timeout_s: float = field(default=60.0, metadata={"help": "seconds a request may take; then 504"})
    application: str = field(
        default="genomics-fm", metadata={"help": "name in Serve; one that runs already is replaced by this model"}
    )
    route_prefix: str = field(
        default="/", metadata={"help": "path before /v1/...; each application of a cluster has its own"}
    )

    def __post_init__(self) -> None:
        for name in ("replicas", "in_flight"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("replica_cpus", "timeout_s"):
            value = getattr(self, name)
            require(0 < value < math.inf, name, value, "a number above 0")
        require(0 <= self.port <= 65_535, "port", self.port, "0 (a free one) to 65535")
        require(bool(self.application), "application", "(empty)", "a name such as genomics-fm")
        rooted = re.fullmatch(r"/|(/[A-Za-z0-9_.-]+)+", self.route_prefix) is not None
        require(
            rooted, "route_prefix", repr(self.route_prefix), "/ or a path such as /yeast, without a slash at its end"
        )


@dataclass(frozen=True)
class Endpoint:
    """A running service.

    Attributes:
        url: its root, prefix included.
        name, version: of the registered model; a head folder has its task and hash.
        started_serve: Serve was started here, so `stop` ends it too once no other application is left.
        application: its name in Serve.
    """

    url: str
    name: str
    version: str
    task: str
    started_serve: bool
    application: str


def run(config: ServeConfig) -> Endpoint:
    """Deploy on the connected Ray and wait until the service answers.

    The alias is resolved once, here: every replica serves the same version until the next deployment.

    Raises:
        InputError: no such model or folder, or another application has the prefix.
        CorruptArtefact: the head disagrees with its manifest.
        EnvironmentFault: the port is taken, or the service does not come up.
    """
    from ray import serve

    from jobs.serve_replica import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    replica = _replica(config)
    http, started = _start_http(config)
    _refuse_taken_prefix(config)
    try:
        serve.run(
            application(replica, config.replicas, config.replica_cpus),
            name=config.application,
            route_prefix=config.route_prefix,
        )
    except RuntimeError as error:
        raise EnvironmentFault(f"{config.model}: Serve did not deploy it ({error}); see Ray's serve logs") from error
    url = _url(*http) + config.route_prefix.rstrip("/")
    return Endpoint(url, replica.name, replica.version, _wait_for_task(url), started, config.application)


def _refuse_taken_prefix(config: ServeConfig) -> None:
    """Two applications cannot share a prefix; Serve says so too, but not how to mend it."""
    from ray.serve.context import _get_global_client

    for name, details in _get_global_client().get_serve_details()["applications"].items():
        if name != config.application and details["route_prefix"] == config.route_prefix:
            raise InputError(
                f"--route-prefix {config.route_prefix}: application {name!r} of this cluster answers there; "
                f"give another prefix, or --application {name} to replace it"
            )


def _wait_for_task(url: str) -> str:
    """The task of the model that answers at `url`."""
    client, deadline = Client(url, timeout_s=BACKSTOP_S), time.monotonic() + ROUTE_S
    while True:
        try:
            client.health()
            return str(client.model()["task"])
        except EnvironmentFault:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def stop(endpoint: Endpoint) -> None:
    """End what `run` started, in bounded time: a Ray that was killed already answers nothing, and late."""
    from ray import serve

    def end() -> None:
        if endpoint.started_serve and set(serve.status().applications) <= {endpoint.application}:
            serve.shutdown()
        else:
            serve.delete(endpoint.application)

    thread = threading.Thread(target=end, name="serve-stop", daemon=True)
    thread.start()
    thread.join(STOP_SECONDS)


def build(args: dict[str, Any]) -> "Application":
    """The application for `serve deploy jobs/serve.yaml`; `args` are fields of `ServeConfig`."""
    from jobs.serve_replica import application

    config = job_config.validate(ServeConfig, args)
    return application(_replica(config), config.replicas, config.replica_cpus)


def _replica(config: ServeConfig) -> Any:
    from jobs.serve_replica import ReplicaConfig

    located = register.resolve(config.model, config.tracking)
    read_card(located.folder / "config.json")
    registered = config.model.startswith("models:/")
    return ReplicaConfig(
        model=f"models:/{located.name}/{located.version}" if registered else str(located.folder.absolute()),
        tracking=tracking.resolve_uri(config.tracking) if registered else None,
        name=located.name,
        version=located.version,
        limits=Limits(in_flight=config.in_flight, seconds=config.timeout_s),
    )


def _start_http(config: ServeConfig) -> tuple[tuple[str, int], bool]:
    """Start Serve's proxy, or use the one this cluster has: ((host, port), whether it was started here)."""
    from ray import serve
    from ray.serve.context import _get_global_client

    running = _get_global_client(raise_if_no_controller_running=False)
    if running is not None:
        http = running.http_config
        if config.port not in (0, http.port):
            raise InputError(f"--port {config.port}: this cluster serves on port {http.port} already; use that")
        return (http.host, http.port), False
    port = free_port(config.host, config.port)
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": config.host, "port": port, "request_timeout_s": config.timeout_s + BACKSTOP_S},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    return (config.host, port), True


def free_port(host: str, port: int) -> int:
    """The port itself if it can be had, or a free one for 0. Ray's proxy shares ports silently, so ask first.

    Raises:
        EnvironmentFault: another process listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except (OSError, OverflowError) as error:
            raise EnvironmentFault(
                f"{host}:{port}: cannot listen there ({error}); choose another with --port"
            ) from error
        return int(probe.getsockname()[1])


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in WILDCARDS else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def curl_line(url: str) -> str:
    """A command that asks the service something."""
    return (
        f"curl -s {url}/v1/predict -H 'Content-Type: application/json' "
        """-d '{"sequences": ["ATGGCTAAAGGTCCAACTGTTGCTGATTTG"]}'"""
    )


def serve_until_stopped(config: ServeConfig) -> None:
    """Deploy, say where, and stay until SIGTERM or Ctrl-C."""
    if not os.environ.get("RAY_ADDRESS"):  # a running cluster may serve there already, and then serves this, too
        free_port(config.host, config.port)  # both before the seconds that Ray takes to start
    register.resolve(config.model, config.tracking)
    with contextlib.suppress(KeyboardInterrupt), launch.connect() as connection:
        print(f"serve: starting {config.model}", flush=True)
        endpoint = run(config)
        try:
            print(f"serve: {endpoint.name} version {endpoint.version} ({endpoint.task})")
            print(f"{curl_line(endpoint.url)}\n{endpoint.url}", flush=True)
            while True:
                time.sleep(3600)  # a lock's wait would swallow Ctrl-C
        finally:
            if not connection.started_here:  # a Ray of our own takes Serve with it
                stop(endpoint)


def main() -> None:
    """The command line."""
    launch.main(
        {"default": ServeConfig()},
        serve_until_stopped,
        "python -m jobs.serve",
        "Serve a head over HTTP until SIGTERM or Ctrl-C.",
    )


if __name__ == "__main__":
    main()

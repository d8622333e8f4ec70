"""Serve a head over HTTP with Ray Serve: `POST /v1/predict`, `GET /v1/model`, `GET /v1/health`."""

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from genomics_fm.client import Client
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.inference.card import read_card
from jobs import config as job_config
from jobs import launch, register, tracking
from jobs.serve_http import Limits

if TYPE_CHECKING:
    from ray.serve import Application

APPLICATION = "genomics-fm"
WILDCARDS = ("0.0.0.0", "::")
STOP_SECONDS = 5
BACKSTOP_S = 10
"""The proxy gives up this much later than the replica, whose refusals say more."""


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


@dataclass(frozen=True)
class Endpoint:
    """A running service.

    Attributes:
        url: its root.
        name, version: of the registered model; a head folder has its task and hash.
        started_serve: Serve was started here, so `stop` ends it and not only this application.
    """

    url: str
    name: str
    version: str
    task: str
    started_serve: bool


def run(config: ServeConfig) -> Endpoint:
    """Deploy on the connected Ray and wait until the service answers.

    The alias is resolved once, here: every replica serves the same version until the next deployment.

    Raises:
        InputError: no such model or folder.
        CorruptArtefact: the head disagrees with its manifest.
        EnvironmentFault: the port is taken, or the service does not come up.
    """
    from ray import serve

    from jobs.serve_replica import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    replica = _replica(config)
    http, started = _start_http(config)
    try:
        serve.run(application(replica, config.replicas, config.replica_cpus), name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        raise EnvironmentFault(f"{config.model}: Serve did not deploy it ({error}); see Ray's serve logs") from error
    url = _url(*http)
    Client(url, timeout_s=BACKSTOP_S).health()
    task = str(Client(url, timeout_s=BACKSTOP_S).model()["task"])
    return Endpoint(url, replica.name, replica.version, task, started)


def stop(endpoint: Endpoint) -> None:
    """End what `run` started, in bounded time: a Ray that was killed already answers nothing, and late."""
    from ray import serve

    end = serve.shutdown if endpoint.started_serve else partial(serve.delete, APPLICATION)
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

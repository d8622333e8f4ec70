"""One Ray Serve replica of a head. Imported where Ray is needed anyway; `jobs.serve` is the job."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from fastapi import FastAPI
from ray import serve
from ray.util.metrics import Counter, Histogram

from genomics_fm.inference.head import load_head
from genomics_fm.inference.prediction import Prediction
from genomics_fm.inference.prior import Prior
from genomics_fm.inference.sequences import Prepared
from jobs import register
from jobs.serve_http import Chunk, Limits, ServedHead, build_app, score_chunks

CHUNK_SEQUENCES = 128
"""Sequences of one request scored at a time, so that a large request lets small ones pass."""
BATCH_CHUNKS = 8
MAX_WAIT_S = 0.01
MAX_QUEUED = 2_048
"""Requests the proxy holds; bounded, and so many that refusals come from the replica, as problem+json."""
SECONDS_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]


@dataclass(frozen=True)
class ReplicaConfig:
    """What a replica needs to know: plain values, since it may start on another machine."""

    model: str
    tracking: str | None
    name: str
    version: str
    limits: Limits


class _Meter:
    """Prometheus metrics; Ray exports `x` as `ray_x`."""

    def __init__(self, task: str, version: str) -> None:
        tags = {"task": task, "version": version}
        self.requests = Counter(
            "genomics_fm_requests_total", "Prediction requests by HTTP status.", ("task", "version", "status")
        )
        self.predictions = Counter("genomics_fm_predictions_total", "Sequences predicted.", ("task", "version"))
        self.seconds = Histogram(
            "genomics_fm_prediction_seconds", "Time of prediction requests.", SECONDS_BUCKETS, ("task", "version")
        )
        for metric in (self.requests, self.predictions, self.seconds):
            metric.set_default_tags(tags)

    def __call__(self, status: int, sequences: int, seconds: float) -> None:
        self.requests.inc(1, {"status": str(status)})
        self.seconds.observe(seconds)
        if sequences:
            self.predictions.inc(sequences)


@serve.ingress()
class Endpoint:
    """Loads a head and answers requests, batching what arrives together."""

    def __init__(self, config: ReplicaConfig) -> None:
        torch.set_num_threads(1)  # replicas, not threads, use the cores
        head = load_head(_folder(config))
        self.served = ServedHead(head, config.name, config.version)
        self.limits = config.limits
        self.meter = _Meter(head.card.task, config.version)
        self.scoring = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")
        self.waiting = 0
        self.last_batch_seconds = 0.0

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self.served, self.score, self.limits, self.meter)

    async def score(self, prepared: list[Prepared], prior: Prior | None) -> list[Prediction]:
        """Predict one request's sequences, a chunk at a time, each chunk in a batch with other requests'."""
        predictions: list[Prediction] = []
        self.waiting += 1
        try:
            for begin in range(0, len(prepared), CHUNK_SEQUENCES):
                self._adapt_wait()
                predictions += await self._score_batch((prepared[begin : begin + CHUNK_SEQUENCES], prior))
        finally:
            self.waiting -= 1
        return predictions

    def _adapt_wait(self) -> None:
        """Alone, a request need not wait for company; in company, waiting as long as a batch takes pays."""
        wait = min(MAX_WAIT_S, self.last_batch_seconds) if self.waiting > 1 else 0.0
        self._score_batch.set_batch_wait_timeout_s(wait)

    @serve.batch(max_batch_size=BATCH_CHUNKS, batch_wait_timeout_s=0.0)
    async def _score_batch(self, chunks: list[Chunk]) -> list[list[Prediction]]:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        scored = await loop.run_in_executor(self.scoring, score_chunks, self.served.head, chunks)
        self.last_batch_seconds = time.monotonic() - started
        return scored


def _folder(config: ReplicaConfig) -> Path:
    return register.resolve(config.model, config.tracking).folder


def application(config: ReplicaConfig, replicas: int, replica_cpus: float) -> serve.Application:
    """The Serve application. The replica itself sheds load first, so that refusals are problem+json."""
    deployment = serve.deployment(Endpoint).options(
        num_replicas=replicas,
        max_ongoing_requests=2 * config.limits.in_flight,
        max_queued_requests=MAX_QUEUED,
        ray_actor_options={"num_cpus": replica_cpus},
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.5,
    )
    return deployment.bind(config)

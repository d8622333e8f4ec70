"""The HTTP interface of a served head as a FastAPI app that knows neither Ray nor MLflow.

Request bodies are read and checked here by hand: FastAPI's own 422 echoes the input, and answers NaN with 500.
Every error is `application/problem+json` (RFC 9457) of at most 4 kB and repeats nothing of the request.
"""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from genomics_fm.errors import InputError
from genomics_fm.inference.head import Head
from genomics_fm.inference.prediction import Prediction, answer
from genomics_fm.inference.prior import Prior, received
from genomics_fm.inference.sequences import MIN_LENGTH_BP, Prepared

PROBLEM_TYPE = "application/problem+json"
MAX_DETAIL_LETTERS = 1_000
RETRY_AFTER_S = 1
Score = Callable[[list[Prepared], Prior | None], Awaitable[list[Prediction]]]
Chunk = tuple[list[Prepared], Prior | None]
"""Some sequences of a request, and its prior."""
Observe = Callable[[int, int, float], None]
"""Told after every prediction request: HTTP status, sequences answered, seconds."""


@dataclass(frozen=True)
class Limits:
    """What one replica accepts.

    Attributes:
        body_bytes: larger request bodies are refused with 413.
        in_flight: more prediction requests than this at once are refused with 503.
        seconds: a request that takes longer, its body included, is given up with 504.
    """

    body_bytes: int = 1 << 20
    in_flight: int = 64
    seconds: float = 60.0


@dataclass(frozen=True)
class ServedHead:
    """A loaded head and what it is called."""

    head: Head
    name: str
    version: str

    def identity(self) -> dict[str, Any]:
        """The `model` member of an answer; `training_prevalence` is what its probabilities refer to (R31).

        Of two classes they are those of `positive_label`, and so is the prevalence; else it is an object by name.
        """
        card, problem = self.head.card, self.head.card.problem
        found: dict[str, Any] = {"name": self.name, "version": self.version, "task": card.task}
        prevalence = dict(zip(problem.names, card.prevalence, strict=False))
        if problem.binary:
            positive = problem.names[1]
            return found | {"positive_label": positive, "training_prevalence": prevalence.get(positive)}
        found["kind"] = problem.kind
        return found if problem.kind == "regression" else found | {"training_prevalence": prevalence}

    def describe(self) -> dict[str, Any]:
        card = self.head.card
        decided = card.problem.names[1:] if card.problem.classes else card.problem.names
        return self.identity() | {
            "kind": card.problem.kind,
            "labels": list(card.problem.names),
            "vocabulary": card.vocabulary,
            "input_length_bp": card.length_bp[1],
            "training_length_bp": list(card.length_bp),
            "accepted_length_bp": [MIN_LENGTH_BP, self.head.familiar.most_bp],
            "stranded": card.problem.stranded,
            "thresholds": None if card.thresholds is None else dict(zip(decided, card.thresholds, strict=True)),
            "metric": card.metric,
            "metrics": card.metrics,
            "audit": card.audit,
            "data": card.data,
            "hashes": card.hashes,
            "head_sha256": self.head.sha256,
        }

    def request_schema(self) -> dict[str, Any]:
        """JSON schema of a request's body."""
        sequence = {"type": "string", "minLength": MIN_LENGTH_BP, "maxLength": self.head.familiar.most_bp}
        properties: dict[str, Any] = {"sequences": {"type": "array", "minItems": 1, "items": sequence}}
        problem, share = self.head.card.problem, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
        if problem.kind != "regression":
            by_name = {"type": "object", "additionalProperties": False, "minProperties": 1}
            by_name |= {"properties": dict.fromkeys(problem.names, share)}
            properties["prior"] = {"anyOf": [share, by_name]}
        return {
            "type": "object",
            "required": ["sequences"],
            "additionalProperties": False,
            "properties": properties,
        }


class Problem(Exception):  # noqa: N818  (RFC 9457's word)
    """An answer that is no prediction. `detail` must repeat nothing of the request."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        title = HTTPStatus(self.status).phrase
        body = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail[:MAX_DETAIL_LETTERS],
        }
        return JSONResponse(body, self.status, self.headers, media_type=PROBLEM_TYPE)


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body; a larger one is refused before, or as soon as, it exceeds `limit` bytes."""
    too_large = Problem(413, f"the body is larger than {limit:,} bytes; send fewer sequences at once")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > limit):
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
    except ClientDisconnect as error:
        raise Problem(400, "the connection ended before the body did") from error
    return bytes(body)


def parse(body: bytes) -> tuple[list[str], Any]:
    """The `sequences` of a request body, and its `prior`, unchecked; None without one.

    Raises:
        Problem: 422; not JSON, not the expected object, an empty list, or an entry (a number, NaN) that is no string.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(422, "the body is not JSON") from error
    members = set(value) if isinstance(value, dict) else set()
    if not {"sequences"} <= members <= {"sequences", "prior"} or not isinstance(value["sequences"], list):
        raise Problem(
            422,
            'the body must be an object: {"sequences": ["ACGT…", …]}, and "prior" beside it if probabilities have one',
        )
    sequences = value["sequences"]
    if not sequences:
        raise Problem(422, "sequences is empty; give at least one")
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise Problem(422, f"sequences[{i}] is no string")
    return sequences, value.get("prior")


def prepare(head: Head, sequences: Sequence[str]) -> list[Prepared]:
    """Normalise the sequences of a request by R11.

    Raises:
        Problem: 422; names the entry by its index.
    """
    prepared, most = [], head.familiar.most_bp
    for i, sequence in enumerate(sequences):
        if not MIN_LENGTH_BP <= len(sequence) <= most:
            raise Problem(
                422, f"sequences[{i}] has {len(sequence):,} letters; {MIN_LENGTH_BP} to {most:,} are accepted"
            )
        try:
            prepared.append(head.prepare(sequence, f"sequences[{i}]"))
        except InputError as error:  # its text quotes the letter
            raise Problem(
                422,
                f"sequences[{i}] holds a letter that is no nucleotide code, or more than 10 % ambiguity codes; "
                "accepted are A C G T U N and the other IUPAC codes in either case",
            ) from error
    return prepared


def _prior(head: Head, given: Any) -> Prior | None:
    try:
        return received(head.card, given)
    except InputError as error:
        raise Problem(422, str(error)) from error


def score_chunks(head: Head, chunks: list[Chunk]) -> list[list[Prediction]]:
    """The predictions of several requests' sequences; those under the same prior are computed together."""
    answers: list[list[Prediction]] = [[] for _ in chunks]
    alike: dict[str, list[int]] = defaultdict(list)
    for place, (_, prior) in enumerate(chunks):
        alike[json.dumps(prior, sort_keys=True)].append(place)
    for places in alike.values():
        flat = [item for place in places for item in chunks[place][0]]
        scored = iter(head.score(flat, chunks[places[0]][1]))
        for place in places:
            answers[place] = list(itertools.islice(scored, len(chunks[place][0])))
    return answers


class _Predictor:
    """One replica's prediction endpoint: counts what is in flight, and gives up what takes too long."""

    def __init__(self, served: ServedHead, score: Score, limits: Limits, observe: Observe) -> None:
        self.served, self.score, self.limits, self.observe = served, score, limits, observe
        self.in_flight = 0

    async def __call__(self, request: Request) -> JSONResponse:
        clock = asyncio.get_running_loop()
        started, status, sequences = clock.time(), 500, 0
        try:
            predictions = await self._bounded(request)
            status, sequences = 200, len(predictions)
            return JSONResponse({"model": self.served.identity(), "predictions": predictions})
        except Problem as problem:
            status = problem.status
            raise
        finally:
            self.observe(status, sequences, clock.time() - started)

    async def _bounded(self, request: Request) -> list[dict[str, Any]]:
        if self.in_flight >= self.limits.in_flight:
            raise Problem(503, "too many requests at once; try again", {"Retry-After": str(RETRY_AFTER_S)})
        self.in_flight += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                sequences, given = parse(await read_body(request, self.limits.body_bytes))
                head = self.served.head
                prior = _prior(head, given)
                prepared = prepare(head, sequences)
                return [answer(head.card.problem, p) for p in await self.score(prepared, prior)]
        except TimeoutError as error:
            raise Problem(504, f"no answer within {self.limits.seconds:g} s; send fewer sequences at once") from error
        finally:
            self.in_flight -= 1


def _ignore(_status: int, _sequences: int, _seconds: float) -> None:
    """Observe nothing."""


def build_app(served: ServedHead, score: Score, limits: Limits | None = None, observe: Observe = _ignore) -> FastAPI:
    """The app of one replica.

    Args:
        served: the head and its name.
        score: predicts prepared sequences under a prior; may batch them with those of other requests.
        limits: body size, requests in flight, time.
        observe: told about every prediction request.
    """
    app = FastAPI(title="Genomics-FM", docs_url=None, redoc_url=None, redirect_slashes=False)
    predictor = _Predictor(served, score, limits or Limits(), observe)
    schema = {"requestBody": {"required": True, "content": {"application/json": {"schema": served.request_schema()}}}}

    @app.post("/v1/predict", openapi_extra=schema)
    async def predict(request: Request) -> JSONResponse:
        return await predictor(request)

    @app.get("/v1/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        return served.describe()

    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    return app


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    return error.response() if isinstance(error, Problem) else await _internal_error(_request, error)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    """404 and 405 of the router, whose own texts are plain."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    details = {404: "no such path; see /openapi.json", 405: "this path does not take that method; see /openapi.json"}
    headers = error.headers if isinstance(error, HTTPException) else None
    return Problem(status, details.get(status, "the request was refused"), headers).response()


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    return Problem(500, "an error inside the service; its log says which").response()

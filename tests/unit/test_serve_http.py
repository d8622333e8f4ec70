import asyncio
import json
import random

import numpy as np
import pytest
from starlette.testclient import TestClient

from genomics_fm.inference.head import load_head
from genomics_fm.inference.prediction import Prediction
from genomics_fm.inference.pyfunc import PyfuncHead
from genomics_fm.tasks.problem import Problem
from jobs.serve_http import Limits, ServedHead, build_app, score_chunks
from tests.heads import random_sequences, rows_of, write_head

SECRET = "GATTACAGATTACAGATTACA"
LIMITS = Limits(body_bytes=20_000, in_flight=2, seconds=1.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return ServedHead(load_head(write_head(tmp_path_factory.mktemp("head"))), "yeast_coding", "7")


def make_client(served, score=None, observe=None):
    async def own(prepared, prior):
        return served.head.score(prepared, prior)

    arguments = (observe,) if observe else ()
    app = build_app(served, score or own, LIMITS, *arguments)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(served):
    return make_client(served)


def assert_problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) <= 4096
    problem = response.json()
    assert problem["status"] == status
    assert set(problem) == {"type", "title", "status", "detail"}
    assert SECRET not in response.text
    return problem["detail"]


def test_predictions_are_the_heads(client, served):
    sequences = [*random_sequences(5), "ACGU" * 50]
    response = client.post("/v1/predict", json={"sequences": sequences})
    assert response.status_code == 200
    body = response.json()
    assert body["model"] == {
        "name": "yeast_coding",
        "version": "7",
        "task": "coding_or_not",
        "positive_label": "coding",
        "training_prevalence": 0.5,
    }
    expected = served.head.predict(sequences)
    assert [p["probability"] for p in body["predictions"]] == [p.probability for p in expected]
    assert [p["label"] for p in body["predictions"]] == [p.label for p in expected]
    assert [p["strand_gap"] for p in body["predictions"]] == [p.reverse_complement_gap for p in expected]
    assert body["predictions"][-1]["warnings"] == ["50 U read as T"]
    assert body["predictions"][0]["warnings"][0].endswith("the head was trained on 200 nt")


@pytest.mark.parametrize("length", [10, 2000])
def test_the_shortest_and_the_longest_are_accepted(client, length):
    assert client.post("/v1/predict", json={"sequences": ["A" * length]}).status_code == 200


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([], "empty"),
        ([SECRET, 5], "sequences[1] is no string"),
        ([SECRET, None], "sequences[1]"),
        ([SECRET, True], "sequences[1]"),
        ([SECRET, ["ACGT"]], "sequences[1]"),
        ([SECRET, "A" * 9], "sequences[1] has 9 letters"),
        ([SECRET, ""], "sequences[1] has 0 letters"),
        ([SECRET, "A" * 2001], "2,001 letters"),
        ([SECRET + "E"], "no nucleotide code"),
        ([SECRET + "*"], "no nucleotide code"),
        ([SECRET + " "], "no nucleotide code"),
        ([SECRET + "Ä"], "no nucleotide code"),
        ([SECRET + "\ud800"], "no nucleotide code"),
        ([SECRET + "\x00"], "no nucleotide code"),
        ([SECRET + "RYSWKM"], "more than 10 %"),
        (SECRET, "must be an object"),
        ({"0": SECRET}, "must be an object"),
        (None, "must be an object"),
    ],
)
def test_bad_sequences_are_422(client, sequences, words):
    body = json.dumps({"sequences": sequences})
    assert words in assert_problem(client.post("/v1/predict", content=body), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b'{"sequences": NaN}',
        b'{"sequences": [NaN]}',
        b'{"sequences": [-Infinity]}',
        b'{"sequences": [1e999]}',
        b'{"sequences": ["\xff\xfe"]}',
        b"[" * 15_000,
        b'{"sequences": [' + b"9" * 10_000 + b"]}",
        b'["GATTACAGATTACAGATTACA"]',
        b'{"sequence": ["GATTACAGATTACAGATTACA"]}',
        b'{"sequences": ["GATTACAGATTACAGATTACA"], "GATTACAGATTACAGATTACA": 1}',
        b"sequences=GATTACAGATTACAGATTACA",
    ],
    ids=range(14),
)
def test_what_is_not_the_request_object_is_422(client, body):
    assert_problem(client.post("/v1/predict", content=body), 422)


def test_random_bytes_never_crash_it(client):
    draw = random.Random(0)
    valid = json.dumps({"sequences": random_sequences(3)}).encode()
    for _ in range(200):
        body = bytearray(valid)
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        response = client.post("/v1/predict", content=bytes(body))
        if response.status_code != 200:
            assert_problem(response, 422)


def test_too_large_a_body_is_413_declared_or_chunked(client):
    whole = json.dumps({"sequences": [SECRET * 90] * 12}).encode()
    assert len(whole) > LIMITS.body_bytes
    assert_problem(client.post("/v1/predict", content=whole), 413)
    assert_problem(client.post("/v1/predict", content=(whole[i : i + 999] for i in range(0, len(whole), 999))), 413)
    edge = b'{"sequences": ["ACGTACGTACGT"]}'.ljust(LIMITS.body_bytes)
    assert client.post("/v1/predict", content=edge).status_code == 200
    assert_problem(client.post("/v1/predict", content=edge + b" "), 413)


def test_reading_stops_at_the_limit(served):
    sent = []

    async def receive():
        sent.append(1)
        return {"type": "http.request", "body": b" " * 1000, "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": [], "query_string": b""}
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    asyncio.run(make_client(served).app(scope, receive, send))
    assert statuses[0] == 413
    assert len(sent) == LIMITS.body_bytes // 1000 + 1


def test_unknown_paths_and_methods_are_problems(client):
    assert_problem(client.get(f"/{SECRET}"), 404)
    assert_problem(client.post(f"/v1/predict/{SECRET}", json={}), 404)
    assert_problem(client.get("/v1/predict/"), 404)
    response = client.get("/v1/predict")
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"
    assert_problem(client.delete("/v1/model"), 405)


def test_a_crash_is_a_500_without_its_message(served):
    async def broken(prepared, prior):
        raise RuntimeError(SECRET)

    detail = assert_problem(make_client(served, broken).post("/v1/predict", json={"sequences": [SECRET]}), 500)
    assert "log" in detail


def test_a_probability_that_is_no_number_is_a_500(served, monkeypatch):
    async def diverged(prepared, prior):
        return [Prediction(np.array([0.5, 0.5]), "coding", None, float("nan"), None)]

    assert_problem(make_client(served, diverged).post("/v1/predict", json={"sequences": [SECRET]}), 500)


def test_too_slow_is_504_and_too_many_is_503(served):
    async def slow(prepared, prior):
        await asyncio.sleep(30)

    client = make_client(served, slow)
    assert_problem(client.post("/v1/predict", json={"sequences": [SECRET]}), 504)

    async def burst():
        import httpx

        transport = httpx.ASGITransport(app=client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            asked = [http.post("/v1/predict", json={"sequences": [SECRET]}) for _ in range(5)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(burst())
    statuses = sorted(a.status_code for a in answers)
    assert statuses == [503, 503, 503, 504, 504]
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 503)
    assert_problem(next(a for a in answers if a.status_code == 503), 503)


def test_refused_requests_free_their_place(served):
    client = make_client(served)
    for _ in range(5):
        assert_problem(client.post("/v1/predict", json={"sequences": []}), 422)
    assert client.post("/v1/predict", json={"sequences": [SECRET]}).status_code == 200


def test_every_request_is_observed_once(served):
    seen = []
    client = make_client(served, observe=lambda *what: seen.append(what))
    client.post("/v1/predict", json={"sequences": [SECRET, SECRET]})
    client.post("/v1/predict", json={"sequences": []})
    assert [(status, count) for status, count, _ in seen] == [(200, 2), (422, 0)]
    assert all(seconds >= 0 for *_, seconds in seen)


def test_health_model_and_openapi(client, served):
    assert client.get("/v1/health").json() == {"status": "ok"}
    model = client.get("/v1/model").json()
    assert model["labels"] == ["intergenic", "coding"]
    assert model["head_sha256"] == served.head.sha256
    assert model["input_length_bp"] == 200
    assert model["thresholds"] is None
    openapi = client.get("/openapi.json").text
    assert '"maxLength":2000' in openapi


@pytest.mark.parametrize(
    "problem",
    [Problem("multilabel", ("open", "bound")), Problem("regression", ("slope",)), Problem("per-base", ("out", "in"))],
    ids=lambda problem: problem.kind,
)
def test_heads_of_other_kinds_are_served(tmp_path, problem):
    shares = () if problem.kind == "regression" else (0.3, 0.2)
    folder = write_head(tmp_path, problem=problem, prevalence=shares, rows=rows_of(problem), length_bp=(20, 600))
    served = ServedHead(load_head(folder), "any", "1")
    client, sequences = make_client(served), random_sequences(3)
    body = client.post("/v1/predict", json={"sequences": sequences}).json()
    assert body["predictions"] == PyfuncHead(served.head).predict(sequences)
    named = {"training_prevalence": dict(zip(problem.names, shares, strict=False))} if shares else {}
    said = {"name": "any", "version": "1", "task": "coding_or_not", "kind": problem.kind}
    assert body["model"] == said | named
    model = client.get("/v1/model").json()
    assert (model["labels"], model["metric"]) == (list(problem.names), problem.metric)
    assert model["accepted_length_bp"] == [10, 2400]
    assert '"maxLength":2400' in client.get("/openapi.json").text
    assert client.post("/v1/predict", json={"sequences": ["A" * 2400]}).status_code == 200
    assert_problem(client.post("/v1/predict", json={"sequences": ["A" * 2401]}), 422)


@pytest.mark.parametrize(
    ("problem", "thresholds"),
    [(Problem("classification", ("no", "yes")), {"yes": 0.4}),
     (Problem("multilabel", ("open", "bound")), {"open": 0.4, "bound": 0.7}),
     (Problem("per-base", ("out", "in")), {"in": 0.4})],
    ids=["classes", "labels", "bases"],
)  # fmt: skip
def test_thresholds_are_told_by_name(tmp_path, problem, thresholds):
    folder = write_head(
        tmp_path, problem=problem, prevalence=(0.3, 0.7), rows=rows_of(problem), thresholds=tuple(thresholds.values())
    )
    client = make_client(ServedHead(load_head(folder), "any", "1"))
    assert client.get("/v1/model").json()["thresholds"] == thresholds


def test_a_prior_shifts_probabilities_and_null_is_none(client, served):
    sequences = random_sequences(3)
    bodies = [{"sequences": sequences, "prior": prior} for prior in (0.01, {"coding": 0.01, "intergenic": 0.99}, None)]
    found = [client.post("/v1/predict", json=body).json()["predictions"] for body in bodies]
    expected = [served.head.predict(sequences, prior) for prior in (0.01, 0.01, None)]
    assert [[p["probability"] for p in one] for one in found] == [[p.probability for p in one] for one in expected]
    assert found[0][0]["probability"] != found[2][0]["probability"]
    assert '"prior":{"anyOf"' in client.get("/openapi.json").text


@pytest.mark.parametrize(
    "prior",
    [0, 1, -0.5, True, "0.5", [0.5], {}, {SECRET: 0.5}, {"coding": 0.5}, {"coding": 0.5, "intergenic": 0.9},
     {"coding": "0.5", "intergenic": 0.5}, {"coding": None, "intergenic": 0.5}, 10**400, float("inf"), float("nan")],
)  # fmt: skip
def test_bad_priors_are_422_and_say_what_is_taken(client, prior):
    body = json.dumps({"sequences": [SECRET], "prior": prior})
    detail = assert_problem(client.post("/v1/predict", content=body), 422)
    assert detail.startswith("prior: give a share of coding, or an object with a share of every class, 1 in sum")
    assert detail.endswith("intergenic, coding")


def test_a_head_of_numbers_takes_no_prior(tmp_path):
    problem = Problem("regression", ("slope",))
    folder = write_head(tmp_path, problem=problem, prevalence=(), rows=rows_of(problem))
    client = make_client(ServedHead(load_head(folder), "any", "1"))
    detail = assert_problem(client.post("/v1/predict", json={"sequences": [SECRET], "prior": 0.5}), 422)
    assert detail == "prior: this head takes none; leave it out"
    assert '"prior"' not in client.get("/openapi.json").text


def test_requests_with_other_priors_are_scored_together_each_under_its_own(served):
    chunks = [([served.head.prepare(s, "x") for s in random_sequences(n + 1, seed=n)], prior)
              for n, prior in enumerate([None, 0.1, {"coding": 0.3, "intergenic": 0.7}, 0.1, None])]  # fmt: skip
    for (prepared, prior), found in zip(chunks, score_chunks(served.head, chunks), strict=True):
        expected = [p.probability for p in served.head.score(prepared, prior)]
        assert [p.probability for p in found] == pytest.approx(expected, abs=1e-6)


def test_no_page_loads_scripts_from_elsewhere(client):
    for path in ("/docs", "/redoc", "/"):
        assert_problem(client.get(path), 404)

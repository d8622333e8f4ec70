import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
import yaml

from genomics_fm.client import Client
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.inference.head import load_head
from jobs import launch, register, serve
from tests.heads import random_sequences, write_head

SECRET = "GATTACAGATTACAGATTACA"


@pytest.fixture(scope="module")
def storage(tmp_path_factory, empty_tracking):
    """A storage folder whose registry has a champion, set for this process and its children."""
    folder = tmp_path_factory.mktemp("storage")
    shutil.copy(empty_tracking, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENOMICS_FM_STORAGE", str(folder))
        patch.delenv("GENOMICS_FM_TRACKING", raising=False)
        patch.delenv("RAY_ADDRESS", raising=False)
        first = register.run(register.RegisterConfig(head=str(write_head(folder / "h", correct=0.6)), name="demo"))
        assert first.promoted
        yield folder


@pytest.fixture(scope="module")
def endpoint(storage, local_ray):
    with launch.connect():
        running = serve.run(serve.ServeConfig(model="models:/demo@champion", port=0, in_flight=32))
        yield running
        serve.stop(running)


@pytest.fixture
def client(endpoint):
    return Client(endpoint.url)


def post(endpoint, body, headers=None):
    """(status, content type, problem) of a raw request; chunked when `body` is an iterator."""
    connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=30)
    connection.request("POST", "/v1/predict", body=body, headers=headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert len(data) <= 4096
    assert SECRET.encode() not in data
    return answer.status, answer.headers["content-type"], json.loads(data)


def test_it_serves_the_champion_on_this_ray(endpoint, client):
    assert (endpoint.name, endpoint.version, endpoint.task) == ("demo", "1", "coding_or_not")
    assert client.health() == {"status": "ok"}
    assert client.model()["version"] == "1"


def test_answers_equal_the_command_line_without_ray(endpoint, client, storage, tmp_path):
    sequences = random_sequences(100, seed=2, low=150, high=250)
    fasta, target = tmp_path / "in.fa", tmp_path / "out.parquet"
    fasta.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(sequences)))
    command = [sys.executable, "-m", "genomics_fm.cli", "predict", "--head", str(storage / "h")]
    subprocess.run([*command, str(fasta), "-o", str(target)], check=True, capture_output=True)
    computed = pq.read_table(target)
    answers = [a for i in range(0, 100, 7) for a in client.predict(sequences[i : i + 7])]
    assert [a["probability"] for a in answers] == pytest.approx(computed["probability"].to_pylist(), abs=1e-5)
    assert [a["label"] for a in answers] == computed["label"].to_pylist()
    assert [a["strand_gap"] for a in answers] == pytest.approx(computed["strand_gap"].to_pylist(), abs=1e-5)
    rare = [a["probability"] for a in client.predict(sequences[:9], prior=0.01)]
    expected = load_head(storage / "h").predict(sequences[:9], prior=0.01)
    assert rare == pytest.approx([p.probability for p in expected], abs=1e-5)
    with pytest.raises(InputError, match="422: prior: give a share of coding, or an object"):
        client.predict(sequences[:9], prior=1.5)


def test_requests_at_once_each_get_their_own_answers(client):
    sequences = random_sequences(60, seed=3, low=20, high=400)
    parts = [sequences[i : i + 1 + i % 4] for i in range(0, 56, 4)]
    expected = [[a["probability"] for a in client.predict(part)] for part in parts]
    with concurrent.futures.ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(client.predict, parts))
    for got, want in zip(answers, expected, strict=True):
        assert [a["probability"] for a in got] == pytest.approx(want, abs=1e-5)


def test_more_sequences_than_one_chunk_stay_in_order(client):
    sequences = random_sequences(300, seed=4, low=10, high=60)
    whole = [a["probability"] for a in client.predict(sequences)]
    assert client.predict(sequences[::-1])[-1]["probability"] == pytest.approx(whole[0], abs=1e-5)
    assert [a["probability"] for a in client.predict(sequences[250:])] == pytest.approx(whole[250:], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"sequences": []}', 422),
        (b'{"sequences": [NaN]}', 422),
        (b'{"sequences": ["GATTACAGATTACAGATTACAJJ"]}', 422),
        (b"not json", 422),
        (b"\xff" * 100, 422),
        (b" " * (1 << 20) + b" ", 413),
    ],
)
def test_refusals_are_problems_through_the_proxy_too(endpoint, body, status):
    got, kind, problem = post(endpoint, body)
    assert (got, kind, problem["status"]) == (status, "application/problem+json", status)


def test_a_chunked_body_has_the_same_limit(endpoint):
    def chunks(count):
        yield b'{"sequences": ["GATTACAGATTACAGATTACA"'
        for _ in range(count):
            yield b" " * 65_536
        yield b"]}"

    assert post(endpoint, chunks(2))[0] == 200
    status, kind, _ = post(endpoint, chunks(24))
    assert (status, kind) == (413, "application/problem+json")


def test_unknown_paths_are_problems(endpoint):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{endpoint.url}/{SECRET}", timeout=10)
    assert caught.value.code == 404
    assert caught.value.headers["content-type"] == "application/problem+json"


def test_prometheus_metrics_are_exported(endpoint, client):
    client.predict(random_sequences(3))
    post(endpoint, b"{}")
    port = ray.nodes()[0]["MetricsExportPort"]
    wanted = [
        ("ray_genomics_fm_predictions_total", ""),
        ("ray_genomics_fm_requests_total", 'status="200"'),
        ("ray_genomics_fm_requests_total", 'status="422"'),
        ("ray_genomics_fm_prediction_seconds_bucket", ""),
    ]
    deadline = time.monotonic() + 60
    missing = wanted
    while missing and time.monotonic() < deadline:
        time.sleep(0.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        missing = [(n, tag) for n, tag in wanted if not any(x.startswith(n + "{") and tag in x for x in lines)]
    assert missing == []


def test_a_new_champion_is_served_after_the_next_deployment(endpoint, client, storage):
    better = register.run(
        register.RegisterConfig(head=str(write_head(storage / "b", seed=1, correct=0.95)), name="demo")
    )
    assert (better.version, better.promoted) == ("2", True)
    assert client.model()["version"] == "1"
    port = int(endpoint.url.rsplit(":", 1)[1])
    again = serve.run(serve.ServeConfig(model="models:/demo@champion", port=port))
    assert (again.url, again.version, again.started_serve) == (endpoint.url, "2", False)
    assert client.model()["version"] == "2"
    with pytest.raises(InputError, match=f"serves on port {port}"):
        serve.run(serve.ServeConfig(model="models:/demo@champion", port=port + 1))


def test_another_application_under_another_prefix_leaves_the_first_one_answering(endpoint, client, storage):
    before, port = client.model(), int(endpoint.url.rsplit(":", 1)[1])
    settings = {"model": str(storage / "h"), "port": port, "application": "genomics-fm-quickstart"}
    with pytest.raises(InputError, match=r"'genomics-fm' of this cluster.*another prefix"):
        serve.run(serve.ServeConfig(**settings))
    second = serve.run(serve.ServeConfig(**settings, route_prefix="/quickstart-check"))
    try:
        assert second.url == f"{endpoint.url}/quickstart-check"
        sequences = random_sequences(3)
        assert len(Client(second.url).predict(sequences)) == len(client.predict(sequences)) == 3
        assert Client(second.url).model()["name"] == "coding_or_not"
        assert client.model() == before
        body = json.dumps({"sequences": sequences}).encode()
        command = serve.curl_line(second.url).replace("-s", "-sf", 1)
        assert json.loads(subprocess.run(command, shell=True, check=True, capture_output=True).stdout)["model"]
        assert post(endpoint, body)[0] == 200
    finally:
        serve.stop(second)
    assert client.model() == before
    with pytest.raises(EnvironmentFault, match="404"):
        Client(second.url).model()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicas": 0}, "replicas 0"),
        ({"in_flight": 0}, "in_flight 0"),
        ({"replica_cpus": 0.0}, "replica_cpus 0"),
        ({"timeout_s": float("nan")}, "timeout_s nan"),
        ({"port": -1}, "port -1"),
        ({"port": 65_536}, "65535"),
        ({"route_prefix": "yeast"}, "route_prefix 'yeast'"),
        ({"route_prefix": "/yeast/"}, "route_prefix"),
        ({"application": ""}, "application"),
    ],
)
def test_values_out_of_range_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        serve.ServeConfig(**values)


def test_the_yaml_is_ray_serves_and_its_arguments_are_ours(storage):
    from ray.serve.schema import ServeDeploySchema

    text = (Path(serve.__file__).parent / "serve.yaml").read_text()
    schema = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (application,) = schema.applications
    assert application.import_path == "jobs.serve:build"
    assert schema.http_options.host == "127.0.0.1"
    built = serve.build({**application.args, "model": "models:/demo@champion"})
    assert built._bound_deployment.name == "Endpoint"
    with pytest.raises(InputError, match="replica"):
        serve.build({**application.args, "replica": 2})


def test_a_port_in_use_is_named_with_the_cure(storage):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=rf"127\.0\.0\.1:{port}: .*--port"):
            serve.free_port("127.0.0.1", port)
        with pytest.raises(EnvironmentFault, match="--port"):
            serve.free_port("192.0.2.77", 8000)


@pytest.mark.parametrize(("stopper", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_the_command_serves_a_folder_and_ends_cleanly(storage, stopper, code):
    command = [sys.executable, "-m", "jobs.serve", "--model", str(storage / "h"), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        url = next(line.strip() for line in process.stdout if line.startswith("http"))
        assert Client(url).model()["task"] == "coding_or_not"
        asked = time.monotonic()
        process.send_signal(stopper)
        assert process.wait(30) == code
        assert time.monotonic() - asked < 15
        with pytest.raises(EnvironmentFault):
            Client(url, timeout_s=2).health()
        assert "Traceback" not in process.stderr.read()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_command_says_what_is_wrong_in_one_line(storage):
    command = [sys.executable, "-m", "jobs.serve", "--model", "models:/absent@champion", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "models:/absent@champion: not registered" in errors[0]
    assert "Traceback" not in done.stderr

import http.server
import json
import threading

import pytest

from genomics_fm import client as module
from genomics_fm.client import Client
from genomics_fm.errors import EnvironmentFault, InputError


class Service(http.server.BaseHTTPRequestHandler):
    """Answers each sequence with its length; `status` and `body` override."""

    status, body, requests, priors = 200, None, [], []

    def do_POST(self):
        data = self.rfile.read(int(self.headers["content-length"]))
        body = json.loads(data)
        sequences = body["sequences"]
        self.priors.append(body.get("prior", "absent"))
        self.requests.append(len(data))
        answer = json.dumps({"predictions": [{"probability": len(s)} for s in sequences]}).encode()
        self.reply(answer)

    def do_GET(self):
        self.reply(json.dumps({"path": self.path}).encode())

    def reply(self, answer):
        answer = answer if self.body is None else self.body
        self.send_response(self.status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def service():
    Service.status, Service.body, Service.requests = 200, None, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Client(f"http://127.0.0.1:{server.server_port}/", timeout_s=5)
    server.shutdown()
    thread.join()
    server.server_close()


def test_large_inputs_go_in_several_requests_in_order(service, monkeypatch):
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 500)
    sequences = ["A" * (10 + i) for i in range(50)]
    answers = service.predict(sequences)
    assert [a["probability"] for a in answers] == [len(s) for s in sequences]
    assert len(Service.requests) > 3
    assert max(Service.requests) < 500 + 50


def test_a_prior_goes_with_every_part(service, monkeypatch):
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 500)
    Service.priors = []
    assert len(service.predict(["A" * 100] * 10, prior={"yes": 0.25, "no": 0.75})) == 10
    assert Service.priors == [{"yes": 0.25, "no": 0.75}] * 3
    assert max(Service.requests) < 500 + 50
    service.predict(["A" * 100], prior=0.1)
    service.predict(["A" * 100])
    assert Service.priors[3:] == [0.1, "absent"]


def test_model_and_health(service):
    assert service.model() == {"path": "/v1/model"}
    assert service.health() == {"path": "/v1/health"}


@pytest.mark.parametrize(
    ("status", "error"), [(422, InputError), (413, InputError), (503, EnvironmentFault), (500, EnvironmentFault)]
)
def test_refusals_carry_the_services_words(service, status, error):
    Service.status, Service.body = status, b'{"detail": "sequences[0] is no string"}'
    with pytest.raises(error, match=rf"{status}: sequences\[0\] is no string"):
        service.predict(["ACGTACGTAC"])


def test_a_refusal_that_is_no_problem_document_is_reported_too(service):
    Service.status, Service.body = 502, b"<html>Bad Gateway</html>"
    with pytest.raises(EnvironmentFault, match="502: Bad Gateway"):
        service.predict(["ACGTACGTAC"])


def test_an_answer_that_is_no_json_is_a_fault(service):
    Service.body = b"hello"
    with pytest.raises(EnvironmentFault, match="no usable answer"):
        service.model()


def test_nobody_there_and_no_url():
    with pytest.raises(EnvironmentFault, match=r"127\.0\.0\.1:9/v1/health: no usable answer"):
        Client("http://127.0.0.1:9", timeout_s=2).health()
    with pytest.raises(InputError, match="http"):
        Client("file:///etc").model()

"""What several kinds of tests share: an S3-like store, a small disk, empty tracking, a pretraining left alone."""

import logging
import multiprocessing
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import mounted
from tests.pretrainings import STEPS, Pretraining, make_corpus, scored

DISK_KIB = 256
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
os.environ.update({name: os.environ.get(name, value) for name, value in _CREDENTIALS.items()})


def pytest_configure() -> None:
    """What is forked for tests of several processes has been imported once: AdamW alone needs seconds of torch."""
    multiprocessing.set_forkserver_preload(["tests.runs", "tests.trained", "torch._dynamo"])


@pytest.fixture(scope="session")
def _s3() -> Iterator[str]:
    """Host and port of an S3-like store in this process; Ray's workers reach it too."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def object_store(_s3: str) -> str:
    """Address of an empty bucket."""
    import boto3

    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=f"http://{_s3}", region_name="us-east-1").create_bucket(Bucket=bucket)
    return f"s3://{bucket}?endpoint_override={_s3}&scheme=http&region=us-east-1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with mounted(tmp_path / "disk", f"size={DISK_KIB}k") as folder:
        yield folder


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's SQLite file with nothing in it, to be copied: its tables take seconds to make."""
    from jobs import tracking

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    tracking.client(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def pretraining_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("pretraining_corpus"))


@pytest.fixture(scope="session")
def undisturbed(pretraining_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    """A finished run that nothing happened to; scored on held-out sequence, which those that must equal it are not."""
    place = tmp_path_factory.mktemp("undisturbed")
    run = Pretraining(pretraining_corpus, place / "runs", STEPS, *scored(place))
    with run:
        run.start()
        assert run.end(None) == 0, run.log.read_text()
    return run

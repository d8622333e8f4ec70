"""One local Ray for the tests that call jobs in this process, and a storage folder for each."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import launch

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
os.environ.update({name: os.environ.get(name, value) for name, value in _CREDENTIALS.items()})


@pytest.fixture(scope="package")
def local_ray() -> Iterator[None]:
    with launch.connect():
        yield


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage folder of the test's own, with tracking inside it."""
    monkeypatch.setenv("GENOMICS_FM_STORAGE", str(tmp_path / "runs"))
    monkeypatch.delenv("GENOMICS_FM_TRACKING", raising=False)
    return tmp_path / "runs"


@pytest.fixture(scope="package")
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

"""Genomes out of an S3-like store."""

import hashlib
from pathlib import Path

import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.genome import fetch
from genomics_fm.storage import Folder


def _at(store: str, name: str) -> str:
    address, _, options = store.partition("?")
    return f"{address}/{name}?{options}"


def test_a_genome_is_fetched_and_verified(object_store: str, tmp_path: Path) -> None:
    data = b">a\n" + b"ACGT" * 500_000
    Folder(object_store).write("genome.fa", data)
    checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = fetch.local_copy(_at(object_store, "genome.fa"), checksum, tmp_path)
    assert path.read_bytes() == data
    path.rename(f"{path}.part")
    Path(f"{path}.part").write_bytes(data[:1_000_000])
    heard: list[tuple[int, int]] = []
    fetch.local_copy(_at(object_store, "genome.fa"), checksum, tmp_path, lambda *now: heard.append(now))
    assert path.read_bytes() == data
    assert heard[0][0] > 1_000_000
    with pytest.raises(InputError, match="no such object"):
        fetch.local_copy(_at(object_store, "other.fa"), "", tmp_path)


def test_a_store_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    location = "s3://bucket/x.fa?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(EnvironmentFault, match="gave up after 1 attempts"):
        fetch.local_copy(location, "", tmp_path)

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from genomics_fm import artefacts
from genomics_fm.errors import CorruptArtefact, EnvironmentFault, InputError


def test_hashes_agree_with_hashlib(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # more than one chunk
    (tmp_path / "x").write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    assert artefacts.sha256_file(tmp_path / "x") == artefacts.sha256_bytes(data) == expected


def test_canonical_json_depends_on_the_value_alone() -> None:
    assert artefacts.canonical_json({"b": [1, 2.5], "a": None}) == b'{"a":null,"b":[1,2.5]}'
    assert artefacts.sha256_json({"a": 1, "b": (2,)}) == artefacts.sha256_json({"b": [2], "a": 1})
    assert artefacts.sha256_json({"a": 1}) != artefacts.sha256_json({"a": 2})
    with pytest.raises(ValueError, match="JSON"):
        artefacts.canonical_json(float("nan"))


def test_writing_replaces_whole_files_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    artefacts.write_bytes(path, b"first")
    artefacts.write_bytes(path, b"2")
    assert path.read_bytes() == b"2"
    assert [p.name for p in path.parent.iterdir()] == ["b"]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    artefacts.write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match=r"x: disk full: 3 bytes needed, [0-9,]+ free; free some"):
        artefacts.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_file_where_a_folder_should_be_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="not writable"):
        artefacts.write_bytes(tmp_path / "file" / "x", b"")


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    artefacts.write_json(path, {"format_version": 1, "a": [1, None]})
    assert artefacts.read_json(path, 1, "") == {"format_version": 1, "a": [1, None]}


def test_an_absent_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.json: no such file; bake one"):
        artefacts.read_json(tmp_path / "x.json", 1, "bake one")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no format_version"),
        (b"{}", "no format_version"),
        (b'{"format_version": "1"}', "no format_version"),
        (b'{"format_version": 2}', "format_version 2 is newer than 1.*upgrade"),
    ],
)
def test_json_that_is_not_ours_is_corrupt(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(CorruptArtefact, match=rf"x\.json: {says}"):
        artefacts.read_json(path, 1, "")


def test_any_change_to_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    value: dict[str, Any] = {"format_version": 1, "step": 20, "files": {"a": "00"}}
    artefacts.write_sealed_json(path, value)
    assert artefacts.read_sealed_json(path, 1, "") == value
    sealed = json.loads(path.read_bytes())
    for changed in ({**sealed, "step": 21}, {**sealed, "more": 1}, {k: v for k, v in sealed.items() if k != "sha256"}):
        path.write_text(json.dumps(changed))
        with pytest.raises(CorruptArtefact, match="changed since it was written"):
            artefacts.read_sealed_json(path, 1, "")


def test_a_content_sum_knows_neither_order_nor_grouping() -> None:
    things = [f"thing {number}".encode() for number in range(5)]
    whole, first, second = artefacts.ContentSum(), artefacts.ContentSum(), artefacts.ContentSum()
    for thing in reversed(things):
        whole.add(thing)
    for number, thing in enumerate(things):
        (first if number % 2 else second).add(thing)
    first.merge(artefacts.ContentSum.of(second.state()))
    assert (first.count, first.hexdigest()) == (5, whole.hexdigest())
    first.add(things[0])
    assert first.hexdigest() != whole.hexdigest()


def test_a_content_sum_of_one_thing_is_its_sha256() -> None:
    one = artefacts.ContentSum()
    one.add(b"thing")
    assert one.hexdigest() == artefacts.sha256_bytes(b"thing")

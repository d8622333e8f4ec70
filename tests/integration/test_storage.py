"""`storage.Folder`: the same verbs on a disk and in an S3-like store."""

import hashlib
from pathlib import Path

import pytest

from genomics_fm.errors import CorruptArtefact, EnvironmentFault, InputError
from genomics_fm.storage import Folder, file_at


@pytest.fixture(params=["disk", "object store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    root = tmp_path if request.param == "disk" else request.getfixturevalue("object_store")
    return Folder(root) / "a" / "b"


def test_files_are_written_read_listed_and_deleted(folder: Folder, tmp_path: Path) -> None:
    assert (folder.names(), folder.exists("x"), folder.size("x")) == ([], False, None)
    folder.write("x", b"first")
    folder.write("x", b"second")
    (folder / "deeper").write("y", b"")
    assert (folder.read("x"), folder.size("x"), folder.names()) == (b"second", 6, ["x"])
    assert (folder / "deeper").names() == ["y"]
    assert (folder.folders(), (folder / "deeper").folders(), (folder / "none").folders()) == (["deeper"], [], [])
    assert folder.sha256("x") == hashlib.sha256(b"second").hexdigest()
    folder.fetch("x", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"second"
    folder.delete("x")
    folder.delete("x")
    assert folder.names() == []
    for look in (folder.read, folder.sha256):
        with pytest.raises(FileNotFoundError):
            look("x")


def test_an_empty_folder_is_removed_and_no_other(folder: Folder) -> None:
    (folder / "c").write("x", b"")
    (folder / "c").remove()
    assert folder.folders() == ["c"] and (folder / "c").exists("x")
    (folder / "c").delete("x")
    for _ in range(2):
        (folder / "c").remove()
        assert folder.folders() == []


def test_a_file_has_an_address(folder: Folder) -> None:
    folder.write("x", b"found")
    address, mark, options = folder.uri.partition("?")
    for form in [f"{address}/x{mark}{options}"] + ([f"file://{folder}/x"] if folder.local else []):
        place, name = file_at(form)
        assert (place.read(name), name) == (b"found", "x")


def test_json_is_sealed(folder: Folder) -> None:
    value = {"format_version": 1, "answer": [42]}
    folder.write_sealed_json("a.json", value)
    assert folder.read_sealed_json("a.json", 1, "") == value
    folder.write_json("a.json", {**folder.read_json("a.json", 1, ""), "answer": [43]})
    with pytest.raises(CorruptArtefact, match=r"a/b/a\.json: changed"):
        folder.read_sealed_json("a.json", 1, "")
    with pytest.raises(InputError, match=r"a/b/none\.json: no such file; make it"):
        folder.read_json("none.json", 1, "make it")


def test_a_store_that_does_not_answer_is_one_line() -> None:
    folder = Folder("s3://bucket/a?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1")
    with pytest.raises(EnvironmentFault, match=r"s3://bucket/a/x: the store refused or did not answer") as caught:
        folder.write("x", b"")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["ftp://host/x", "s3://bucket/x?no_such_option=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not a storage address"):
        Folder(address)

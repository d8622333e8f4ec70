import json
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.artefacts import write_json, write_sealed_json
from genomics_fm.corpus import manifest as module
from genomics_fm.corpus.manifest import MANIFEST, Corpus
from genomics_fm.errors import CorruptArtefact, InputError
from tests.corpora import RECIPE, corpus_of, dna, small_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_corpus(tmp_path / "corpus").folder


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_text())


def test_rows_are_numbered_through_the_blocks(tmp_path: Path) -> None:
    sequence = dna(RECIPE.window_bp * 40, 0)
    corpus = corpus_of(tmp_path / "corpus", {"c": sequence})
    step = RECIPE.window_bp - RECIPE.overlap_bp
    starts = [corpus.window(row).start for row in range(len(corpus))]
    assert starts == [step * row for row in range(len(corpus))]
    assert len(corpus.blocks) == -(-len(corpus) // RECIPE.rows_per_block)
    for row in (39, 0, 17, 8, 7):  # and in any order
        assert corpus.sequence(row) == sequence[step * row : step * row + RECIPE.window_bp]


def test_more_blocks_than_are_kept_open_read_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [Corpus(folder).sequence(row) for row in range(21)]
    monkeypatch.setattr(module, "OPEN_BLOCKS", 1)
    corpus = Corpus(folder)
    assert [corpus.sequence(row) for row in [*range(21), *range(21)]] == expected * 2
    assert len(corpus._open) == 1


def test_a_block_is_hashed_once_in_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_BLOCKS", 1)
    hashed: list[str] = []
    real = module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda path: hashed.append(path.name) or real(path))
    corpus = Corpus(folder)
    for row in [0, 20, 8, 0, 20, 8]:
        corpus.sequence(row)
    assert sorted(hashed) == [block["file"] for block in corpus.blocks]


def test_a_folder_without_a_manifest_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json: no such file; .*python -m jobs\.build_corpus"):
        Corpus(tmp_path)


def flip_first(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def flip_last(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 128
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swap(path: Path) -> None:
    other = path.with_name("block-00000-00000-00000.arrow")
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


DAMAGES = [flip_first, flip_middle, flip_last, truncate, Path.unlink, swap]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_block_is_named_before_any_of_its_rows_is_used(folder: Path, damage: Any) -> None:
    damage(folder / "block-00000-00000-00001.arrow")
    with pytest.raises(CorruptArtefact, match=r"block-00000-00000-0000[01]\.arrow: .*jobs\.build_corpus"):
        Corpus(folder, verify=True)
    with pytest.raises(CorruptArtefact, match=r"block-00000-00000-0000[01]\.arrow: "):
        Corpus(folder).sequence(9)  # of the second block, whose rows are 8 to 15


def test_a_sound_block_stays_readable_beside_a_flipped_bit(folder: Path) -> None:
    flip_middle(folder / "block-00000-00000-00001.arrow")
    corpus = Corpus(folder)
    assert len(corpus.sequence(7)) == RECIPE.window_bp
    for row in (8, 15):
        with pytest.raises(CorruptArtefact):
            corpus.window(row)


def test_a_block_that_goes_while_the_corpus_is_open_is_named(folder: Path) -> None:
    corpus = Corpus(folder)
    (folder / "block-00000-00000-00002.arrow").unlink()
    with pytest.raises(CorruptArtefact, match=r"block-00000-00000-00002\.arrow: .*gone"):
        corpus.sequence(20)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["blocks"][0].update(rows=9),
        lambda m: m["blocks"][0].update(sha256="0" * 64),
        lambda m: m["counts"].update(nucleotides_kept=1),
        lambda m: m.update(corpus_sha256="0" * 64),
        lambda m: m["blocks"].pop(),
        lambda m: m.pop("plan"),
    ],
)
def test_an_edited_manifest_is_corrupt_at_once(folder: Path, change: Any) -> None:
    manifest = read(folder)
    change(manifest)
    write_json(folder / MANIFEST, manifest)
    with pytest.raises(CorruptArtefact, match=r"manifest\.json: "):
        Corpus(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m["blocks"][1].update(rows=9), r"block-00000-00000-00001\.arrow: not the rows"),
        (lambda m: m["blocks"][1].update(bytes=9), r"block-00000-00000-00001\.arrow: \d+ bytes, the manifest says 9"),
        (lambda m: m["blocks"][1].update(sha256="0" * 64), r"block-00000-00000-00001\.arrow: does not match"),
    ],
)
def test_a_manifest_that_disagrees_with_its_blocks_is_corrupt(folder: Path, change: Any, says: str) -> None:
    """Written so by a faulty builder, as its seal is sound."""
    manifest = read(folder)
    manifest.pop("sha256")
    change(manifest)
    write_sealed_json(folder / MANIFEST, manifest)
    with pytest.raises(CorruptArtefact, match=says):
        Corpus(folder, verify=True)


def test_a_newer_format_says_to_upgrade(folder: Path) -> None:
    write_json(folder / MANIFEST, {**read(folder), "format_version": 3})
    with pytest.raises(CorruptArtefact, match=r"format_version 3 is newer than 2.*upgrade"):
        Corpus(folder)

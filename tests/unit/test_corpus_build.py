import dataclasses
import errno
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus import blocks
from genomics_fm.corpus.build import Source, build_source, commit, rows_of
from genomics_fm.corpus.manifest import MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import EnvironmentFault, InputError
from tests.corpora import RECIPE, build, corpus_of, dna, write_fasta

CONTIGS = {
    "long": dna(5_000, 1),
    "gapped": "N" * 60 + dna(400, 2) + "N" * 80 + dna(30, 3) + "N" * 50 + dna(69, 4) + "N" * 49 + dna(2_000, 5),
    "short": dna(69, 6),
    "just": dna(70, 7),
}


def source(folder: Path, name: str, contigs: dict[str, str], **about: object) -> Source:
    return Source(str(write_fasta(folder / f"{name}.fa", contigs)), f"Species {name}", name, **about)  # type: ignore[arg-type]


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.iterdir() if path.name != PROVENANCE}


def test_every_base_of_a_kept_piece_is_there_once_or_in_an_overlap_twice(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", CONTIGS)
    depth = {name: np.zeros(len(sequence), dtype=int) for name, sequence in CONTIGS.items()}
    for row in range(len(corpus)):
        window = corpus.window(row)
        assert CONTIGS[window.contig][window.start : window.end] == window.sequence == corpus.sequence(row)
        depth[window.contig][window.start : window.end] += 1
    counts = corpus.manifest["counts"]
    gapped = depth.pop("gapped")
    assert (gapped[:60] == 0).all() and (gapped[60:460] == 1).all() and (gapped[460:620] == 0).all()
    assert (gapped[620:] > 0).all()  # the 69 nt are joined to the rest by a run of 49 N
    assert (depth["long"] > 0).all() and (depth["just"] == 1).all() and (depth["short"] == 0).all()
    everything = np.concatenate([gapped, *depth.values()])
    assert everything.max() == 2
    assert counts["nucleotides_in_overlaps"] == (everything == 2).sum()
    assert counts["nucleotides_kept"] == (everything > 0).sum() == corpus.nucleotides
    assert counts["windows"] == len(corpus)


def test_counts_add_up_to_what_was_read(tmp_path: Path) -> None:
    held = source(tmp_path, "a", CONTIGS, exclude_contigs=("just",))
    counts = build(tmp_path / "corpus", [held]).manifest["counts"]
    assert counts["nucleotides_read"] == sum(map(len, CONTIGS.values()))
    dropped = {name: count for name, count in counts.items() if name.startswith("dropped_nt: ")}
    assert dropped == {
        "dropped_nt: held-out contig": 70,
        "dropped_nt: piece shorter than minimum": 30 + 69,
        "dropped_nt: run of N": 60 + 80 + 50,
    }
    assert counts["nucleotides_kept"] + sum(dropped.values()) == counts["nucleotides_read"]
    assert (counts["contigs"], counts["dropped_contigs: held-out contig"]) == (4, 1)


def genbank(name: str, sequence: str, organelle: bool) -> str:
    lines = [f"LOCUS       {name:16} {len(sequence)} bp    DNA     linear   PLN 01-JAN-2026", "FEATURES             "]
    lines.append(f"     source          1..{len(sequence)}")
    lines.append(f'                     /chromosome="{name}"')
    if organelle:
        lines.append('                     /organelle="mitochondrion"')
    lines.append("ORIGIN      ")
    for start in range(0, len(sequence), 60):
        part = sequence[start : start + 60].lower()
        lines.append(f"{start + 1:9} " + " ".join(part[i : i + 10] for i in range(0, len(part), 10)))
    return "\n".join([*lines, "//", ""])


@pytest.mark.parametrize(("keep", "windows"), [(False, {"IV", "V"}), (True, {"IV", "V", "Mito"})])
def test_organelles_are_left_out_and_counted_unless_wanted(tmp_path: Path, keep: bool, windows: set[str]) -> None:
    path = tmp_path / "genome.gb"
    sequences = {"IV": dna(300, 1), "Mito": dna(240, 2), "V": dna(200, 3)}
    path.write_text("".join(genbank(name, text, name == "Mito") for name, text in sequences.items()))
    corpus = build(tmp_path / "corpus", [Source(str(path), "Fictus", "one", keep_organelles=keep)])
    assert {corpus.window(row).contig for row in range(len(corpus))} == windows
    assert corpus.manifest["counts"].get("dropped_nt: organelle", 0) == (0 if keep else 240)
    held = build(tmp_path / "held", [Source(str(path), "Fictus", "one", exclude_contigs=("IV",))])
    assert {held.window(row).contig for row in range(len(held))} == {"V"}
    assert held.manifest["counts"]["dropped_nt: held-out contig"] == 300


def test_the_order_in_which_sources_are_built_changes_no_byte(tmp_path: Path) -> None:
    sources = [source(tmp_path, name, {"c": dna(9_000, seed)}) for seed, name in enumerate("abc")]
    straight = build(tmp_path / "straight", sources)
    reports = [build_source(i, sources[i], RECIPE, tmp_path / "mixed") for i in (2, 0, 1)]
    commit(tmp_path / "mixed", sources, RECIPE, reports)
    assert hashes(tmp_path / "mixed") == hashes(tmp_path / "straight")
    assert len(straight.blocks) > 3 and Corpus(tmp_path / "mixed", verify=True).sha256 == straight.sha256


def test_the_hash_depends_on_content_and_not_on_where_it_came_from(tmp_path: Path) -> None:
    first = corpus_of(tmp_path / "one", CONTIGS)
    again = corpus_of(tmp_path / "elsewhere" / "two", CONTIGS)
    (tmp_path / "c.fa.gz").write_bytes(gzip.compress((tmp_path / "one.fa").read_bytes()))
    zipped = build(tmp_path / "three", [Source(str(tmp_path / "c.fa.gz"), "Fictus exemplaris", "one")])
    assert first.sha256 == again.sha256 == zipped.sha256
    assert hashes(tmp_path / "one") == hashes(tmp_path / "three")
    assert str(tmp_path) not in (tmp_path / "one" / MANIFEST).read_text()
    assert str(tmp_path) in (tmp_path / "one" / PROVENANCE).read_text()
    changed = {**CONTIGS, "just": dna(70, 8)}
    assert corpus_of(tmp_path / "four", changed).sha256 != first.sha256


def test_the_hash_does_not_depend_on_how_blocks_are_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R8: a later pyarrow or zstd writes other bytes of the same rows."""
    first = corpus_of(tmp_path / "one", CONTIGS)
    monkeypatch.setattr(blocks, "ZSTD_LEVEL", 9)
    again = corpus_of(tmp_path / "two", CONTIGS)
    assert again.blocks[0]["sha256"] != first.blocks[0]["sha256"]
    assert again.sha256 == first.sha256


def test_counts_stand_by_species_too(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", {"c": dna(3_000, 0)}), source(tmp_path, "b", {"c": dna(500, 1)}, clade="Fungi")]
    manifest = build(tmp_path / "corpus", sources).manifest
    by_species = manifest["counts_by_species"]
    assert by_species["Species a"]["nucleotides_kept"] == 3_000
    assert by_species["Species b"]["nucleotides_kept"] == 500
    total: Counter[str] = Counter()
    for counts in by_species.values():
        total.update(counts)
    assert dict(total) == manifest["counts"]
    assert manifest["assemblies"] == [["Species a", "a", ""], ["Species b", "b", "Fungi"]]


def test_rows_come_in_reading_order_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    first = next(rows_of(source(tmp_path, "a", CONTIGS), RECIPE, counts, set()))
    assert (first.contig, first.start) == ("long", 0)
    assert counts["contigs"] == 1


def test_nothing_left_is_an_input_error_and_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no window left of 1 sources"):
        corpus_of(tmp_path / "corpus", {"short": dna(69, 0)})
    assert not (tmp_path / "corpus" / MANIFEST).exists()


@pytest.mark.parametrize("failing_write", [1, 2, 4])
def test_a_full_disk_is_named_and_leaves_no_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    """Writes: two blocks, the provenance, the manifest."""
    calls = iter(range(1, 100))
    fasta = source(tmp_path, "a", {"c": dna(900 * 12, 0)})

    def fsync(_: int) -> None:
        if next(calls) == failing_write:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "corpus"
    with pytest.raises(EnvironmentFault, match=r"corpus/.*: disk full"):
        build(folder, [fasta])
    assert not (folder / MANIFEST).exists() and not list(folder.glob(".*"))
    with pytest.raises(InputError, match=r"jobs\.build_corpus"):
        Corpus(folder)
    monkeypatch.undo()
    assert len(build(folder, [fasta])) == 12  # the same command again finishes it


def test_the_manifest_says_how_it_was_cut(tmp_path: Path) -> None:
    corpus_of(tmp_path / "corpus", CONTIGS, Recipe(window_bp=300, overlap_bp=20))
    recipe = json.loads((tmp_path / "corpus" / MANIFEST).read_text())["recipe"]
    assert (recipe["window_bp"], recipe["overlap_bp"], recipe["split_n_run_bp"]) == (300, 20, 50)


def test_a_contig_to_hold_out_that_nobody_has_is_refused(tmp_path: Path) -> None:
    excluding = dataclasses.replace(source(tmp_path, "a", CONTIGS), exclude_contigs=("chrIV",))
    reports = [build_source(0, excluding, RECIPE, tmp_path / "corpus")]
    with pytest.raises(InputError, match="chrIV"):
        commit(tmp_path / "corpus", [excluding], RECIPE, reports)
    assert not (tmp_path / "corpus" / "manifest.json").exists()

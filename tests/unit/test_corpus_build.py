import dataclasses
import errno
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.build import PARTS, build_unit, finished_part
from genomics_fm.corpus.commit import commit
from genomics_fm.corpus.manifest import MANIFEST, PROVENANCE, Corpus
from genomics_fm.corpus.plan import Plan, units
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.storage import Folder
from tests.corpora import RECIPE, build, corpus_of, dna, write_fasta

CONTIGS = {
    "long": dna(5_000, 1),
    "gapped": "N" * 60 + dna(400, 2) + "N" * 80 + dna(30, 3) + "N" * 50 + dna(69, 4) + "N" * 49 + dna(2_000, 5),
    "short": dna(69, 6),
    "just": dna(70, 7),
}


PLAN = Plan(recipe=RECIPE)


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
    work = units(sources)
    for unit in (work[2], work[0], work[1]):
        build_unit(unit, PLAN, Folder(tmp_path / "mixed"), tmp_path, unit.identity(PLAN.identity()))
    commit(Folder(tmp_path / "mixed"), work, PLAN)
    assert hashes(tmp_path / "mixed") == hashes(tmp_path / "straight")
    assert len(straight.blocks) > 3 and Corpus(tmp_path / "mixed", verify=True).sha256 == straight.sha256


def test_an_interrupted_build_goes_on_and_ends_with_the_same_manifest(tmp_path: Path) -> None:
    sources = [source(tmp_path, name, {"c": dna(9_000, seed)}) for seed, name in enumerate("abc")]
    build(tmp_path / "straight", sources)
    folder, work = Folder(tmp_path / "killed"), units(sources)
    for unit in work[:2]:
        build_unit(unit, PLAN, folder, tmp_path, unit.identity(PLAN.identity()))
    (tmp_path / "killed" / PARTS / "00001-00000.json").unlink()  # killed before its part was written
    (tmp_path / "killed" / "block-00001-00000-00001.arrow").unlink()
    (tmp_path / "killed" / "block-00000-00000-00099.arrow").write_bytes(b"left by a build of another recipe")
    (tmp_path / "killed" / ".block-00001-00000-00001.arrow.17.tmp").write_bytes(b"half a block")
    kept = (tmp_path / "killed" / "block-00000-00000-00000.arrow").stat().st_mtime_ns
    build(tmp_path / "killed", sources)
    assert (tmp_path / "killed" / "block-00000-00000-00000.arrow").stat().st_mtime_ns == kept
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "straight")


def test_a_part_counts_only_for_the_same_file_plan_and_blocks(tmp_path: Path) -> None:
    one = source(tmp_path, "a", {"c": dna(9_000, 0)})
    (unit,), folder = units([one]), Folder(tmp_path / "corpus")
    identity = unit.identity(PLAN.identity())
    build_unit(unit, PLAN, folder, tmp_path, identity)
    assert finished_part(unit, folder, identity) is not None
    other = Plan(recipe=dataclasses.replace(RECIPE, overlap_bp=90))
    assert finished_part(unit, folder, unit.identity(other.identity())) is None
    os.utime(one.location, ns=(1, 1))
    assert unit.identity(PLAN.identity()) != identity
    block = tmp_path / "corpus" / "block-00000-00000-00000.arrow"
    block.write_bytes(block.read_bytes()[:-1])
    assert finished_part(unit, folder, identity) is None


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


def test_the_hash_does_not_depend_on_blocks_or_files(tmp_path: Path) -> None:
    """R8: the canonical content of the rows, however they are grouped."""
    first = corpus_of(tmp_path / "one", CONTIGS)
    again = corpus_of(tmp_path / "two", CONTIGS, dataclasses.replace(RECIPE, rows_per_block=3))
    assert len(again.blocks) > len(first.blocks)
    files = [write_fasta(tmp_path / f"{name}.fa", {name: text}) for name, text in CONTIGS.items()]
    split = build(tmp_path / "three", [Source(str(file), "Fictus exemplaris", "one") for file in files])
    assert first.sha256 == again.sha256 == split.sha256
    assert first.manifest["assemblies"][0]["sha256"] == split.manifest["assemblies"][0]["sha256"]


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
    about = [[one[name] for name in ("species", "assembly", "clade")] for one in manifest["assemblies"]]
    assert about == [["Species a", "a", ""], ["Species b", "b", "Fungi"]]
    assert [one["nucleotides_kept"] for one in manifest["assemblies"]] == [3_000, 500]


def test_composition_is_counted(tmp_path: Path) -> None:
    manifest = corpus_of(tmp_path / "corpus", {"a": "AC" * 50, "b": "GC" * 150 + "N" * 40 + "AT" * 80}).manifest
    assert (manifest["counts"]["row_nt"], manifest["counts"]["row_nt: GC"]) == (600, 350)
    assert manifest["counts"]["row_nt: N"] == 40
    assert manifest["histograms"]["Fictus exemplaris"] == {
        "gc_percent": {"50": 1, "65": 1},
        "window_log2_bp": {"6": 1, "8": 1},
    }


def test_nothing_left_is_an_input_error_and_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no window left of 1 files"):
        corpus_of(tmp_path / "corpus", {"short": dna(69, 0)})
    assert not (tmp_path / "corpus" / MANIFEST).exists()


@pytest.mark.parametrize("failing_write", [1, 2, 3, 5])
def test_a_full_disk_is_named_and_leaves_no_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    """Writes: two blocks, the part, the provenance, the manifest."""
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
    corpus_of(tmp_path / "corpus", CONTIGS, Recipe(window_bp=300, overlap_bp=20, min_contig_bp=1))
    recipe = json.loads((tmp_path / "corpus" / MANIFEST).read_text())["plan"]["recipe"]
    assert (recipe["window_bp"], recipe["overlap_bp"], recipe["split_n_run_bp"]) == (300, 20, 50)


def test_a_contig_to_hold_out_that_nobody_has_is_refused(tmp_path: Path) -> None:
    excluding = dataclasses.replace(source(tmp_path, "a", CONTIGS), exclude_contigs=("chrIV",))
    with pytest.raises(InputError, match="chrIV"):
        build(tmp_path / "corpus", [excluding])
    assert not (tmp_path / "corpus" / MANIFEST).exists()


def test_a_vcf_may_be_shared_by_the_files_of_a_genome(tmp_path: Path) -> None:
    contigs = {name: dna(3_000, seed) for seed, name in enumerate(("a", "b", "c"))}
    vcf = indexed_vcf(tmp_path / "v.vcf.gz", {name: text for name, text in contigs.items() if name != "c"})
    files = [write_fasta(tmp_path / f"{name}.fa", {name: text}) for name, text in contigs.items()]
    sources = [Source(str(file), "Fictus", "one", vcf=str(vcf), phased="yes") for file in files]
    corpus = build(tmp_path / "corpus", sources)
    changed = [corpus.window(row) for row in range(len(corpus)) if corpus.window(row).haplotype]
    assert {(window.contig, window.start, window.cigar) for window in changed} == {
        ("a", 0, "10=1X1013="),
        ("b", 0, "10=1X1013="),
    }
    with pytest.raises(InputError, match=r"v\.vcf\.gz: contigs b are in none of its genome's files"):
        build(tmp_path / "other", [sources[0], sources[2]])


def indexed_vcf(path: Path, contigs: dict[str, str]) -> Path:
    """One phased heterozygote of one sample at the eleventh base of each contig."""
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name}>" for name in contigs)]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="">']
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "S1"])]
    for name, text in contigs.items():
        alternative = "C" if text[10] == "A" else "A"
        lines.append("\t".join([name, "11", ".", text[10], alternative, ".", "PASS", ".", "GT", "0|1"]))
    plain = path.with_suffix("")
    plain.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def test_a_corpus_of_haplotypes_counts_them(tmp_path: Path) -> None:
    vcf = indexed_vcf(tmp_path / "v.vcf.gz", {"a": dna(3_000, 0)})
    fasta = write_fasta(tmp_path / "a.fa", {"a": dna(3_000, 0)})
    corpus = build(tmp_path / "corpus", [Source(str(fasta), "Fictus", "one", vcf=str(vcf), phased="yes")])
    counts = corpus.manifest["counts"]
    assert (counts["windows"], counts["haplotype_rows"], len(corpus)) == (4, 1, 5)
    assert (counts["haplotype_nt"], counts["haplotype_nt_with_multiplicity"]) == (1_024, 1_024)
    row = corpus.window(1)
    assert (row.haplotype, row.multiplicity, row.start, row.end) == ("S1:2", 1, 0, 1_024)
    assert sum(a != b for a, b in zip(row.sequence, corpus.sequence(0), strict=True)) == 1

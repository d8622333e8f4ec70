import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.corpus.groups import Group, groups
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import InputError
from genomics_fm.pretraining.order import Order
from genomics_fm.pretraining.sources import PUBLISHED_HAPLOTYPE_SHARE, SourceWeights, in_a_line
from genomics_fm.pretraining.stream import Stream
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import STREAMS, build, dna, streams, write_fasta
from tests.variants import write_vcf

OFF = SourceWeights(haplotype_share=0)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A genome of 26 windows with 6 haplotypes wherever there are variants, one of weight 1 and one of weight 2.5."""
    folder = tmp_path_factory.mktemp("mixed")
    sequences = {name: dna(length, seed) for seed, (name, length) in enumerate({"a": 24_000, "b": 9_000}.items())}
    files = {name: write_fasta(folder / f"{name}.fa", {"chr1": text}) for name, text in sequences.items()}
    third = write_fasta(folder / "c.fa", {"chr1": dna(5_000, 9)})
    records = []
    for number, position in enumerate(range(300, 12_000, 350)):
        ref = sequences["a"][position - 1]
        alt = "ACGT"["CGTA".index(ref)]
        genotypes = [f"{(number >> sample) & 1}|{(number + sample) % 2}" for sample in range(3)]
        records.append(f"{position} {ref} {alt} {' '.join(genotypes)}")
    vcf = write_vcf(folder / "a.vcf", records, ("S", "T", "U"))
    sources = [
        Source(str(files["a"]), "Alpha", "one", vcf=vcf, phased="yes"),
        Source(str(files["b"]), "Beta", "one", weight=2.5),
        Source(str(third), "Gamma", "one"),
    ]
    return build(folder / "corpus", sources)


def order_of(corpus: Corpus, sources: SourceWeights = SourceWeights(), streams: int = 4, seed: int = 0) -> Order:  # noqa: B008
    return Order(corpus, sources, streams, seed)


def visits(order: Order, name: str = "bpe", epoch: int = 0) -> Counter[int]:
    seen = [order.window(name, epoch, place) for place in range(order.slots)]
    assert len(set(seen)) == len(seen)
    counts = Counter(row for row, _ in seen)
    for row, count in counts.items():
        assert {visit for found, visit in seen if found == row} == set(range(count))
    return counts


def test_groups_hold_every_row_once_and_as_it_is(mixed: Corpus) -> None:
    found = groups(mixed)
    assert [(g.species, g.haplotypes, g.weight) for g in found] == [
        ("Alpha", False, 1.0), ("Beta", False, 2.5), ("Gamma", False, 1.0), ("Alpha", True, 1.0),
    ]  # fmt: skip
    rows = [group.row(mixed, place) for group in found for place in range(group.rows)]
    assert sorted(rows) == list(range(len(mixed)))
    for group in found:
        windows = [mixed.window(group.row(mixed, place)) for place in range(group.rows)]
        assert {(w.species, bool(w.haplotype)) for w in windows} == {(group.species, group.haplotypes)}
    assert found[-1].nucleotides == sum(len(w.sequence) for w in windows) > 30_000
    assert [g.nucleotides for g in found[:3]] == [24_000, 9_000, 5_000]


def test_a_manifest_that_does_not_count_haplotypes_is_read_from_its_blocks(mixed: Corpus) -> None:
    older = Corpus(mixed.folder)
    older.blocks = [{name: v for name, v in block.items() if name != "haplotype_rows"} for block in older.blocks]
    for ours, theirs in zip(groups(older), groups(mixed), strict=True):
        assert np.array_equal(ours.blocks_B, theirs.blocks_B) and np.array_equal(ours.ends_B, theirs.ends_B)


def test_without_weights_every_window_comes_once(corpus: Corpus) -> None:
    order = order_of(corpus)
    assert visits(order) == Counter(range(len(corpus)))
    assert order.report()["groups"][0]["rate"] == 1


def test_a_corpus_of_the_first_format_is_one_group() -> None:
    older = Corpus(Path(__file__).parents[1] / "golden" / "format_1" / "corpus")
    assert visits(order_of(older)) == Counter(range(5))


def test_windows_come_as_often_as_their_group_says_or_once_more(mixed: Corpus) -> None:
    order = order_of(mixed, dataclasses.replace(OFF, temperature=1.0))
    assert order.rates_G.tolist() == [1, 2.5, 1, 1]
    for epoch in (0, 1):
        counts = visits(order, epoch=epoch)
        for group, least, most in zip(order.groups, (1, 2, 1, 1), (1, 3, 1, 1), strict=True):
            found = [counts[group.row(mixed, place)] for place in range(group.rows)]
            assert set(found) == {least, most}
            assert sum(found) == round(order.rates_G[order.groups.index(group)] * group.rows)


def test_haplotypes_get_their_share_of_the_nucleotides(mixed: Corpus) -> None:
    """R4: 284 to 385, where both kinds are there; a weight multiplies an assembly's rows within its kind."""
    order = order_of(mixed)
    lengths = {row: len(mixed.sequence(row)) for row in range(len(mixed))}
    nt = {True: 0, False: 0}
    for row, count in visits(order).items():
        nt[bool(mixed.window(row).haplotype)] += count * lengths[row]
    # Windows are few and share 100 nt with their neighbours, which nucleotides of a group leave out.
    assert nt[True] / sum(nt.values()) == pytest.approx(385 / 669, abs=0.03)
    told = order.report()
    assert told["haplotype_share"] == pytest.approx(PUBLISHED_HAPLOTYPE_SHARE) and len(told["groups"]) == 4
    assert [one["rate"] for one in told["groups"][:3]] == pytest.approx([1, 2.5, 1])
    half = order_of(mixed, SourceWeights(haplotype_share=0.5)).report()
    assert half["reference_share"] == pytest.approx(half["haplotype_share"])
    assert "haplotypes 50.0% of nucleotides" in in_a_line(half) and "1 to 2.5 × an epoch" in in_a_line(half)


def test_some_windows_of_a_low_rate_come_and_others_in_another_epoch(mixed: Corpus) -> None:
    order = order_of(mixed, SourceWeights(haplotype_share=0.05))
    (group,) = (g for g in order.groups if g.haplotypes)
    rows = {group.row(mixed, place) for place in range(group.rows)}
    picked = [frozenset(rows & set(visits(order, epoch=epoch))) for epoch in range(12)]
    assert len({len(one) for one in picked}) == 1 and 0 < len(picked[0]) < len(rows) / 4
    assert len(set(picked)) > 10


def made_up(nucleotides: dict[str, int], haplotypes: int = 0) -> list[Group]:
    rows = np.array([1])
    found = [Group(name, "", False, 1.0, nt, rows, rows) for name, nt in nucleotides.items()]
    return found + [Group("a", "", True, 1.0, haplotypes, rows, rows)] * bool(haplotypes)


def test_a_temperature_evens_species_out_and_keeps_the_volume() -> None:
    found = made_up({"a": 900, "b": 90, "c": 10})
    rates = SourceWeights(temperature=2).rates(found)
    wanted = rates * [900, 90, 10]
    assert wanted.sum() == pytest.approx(1_000)
    assert wanted[0] / wanted[1] == pytest.approx(10**0.5) and wanted[1] / wanted[2] == pytest.approx(3)


@pytest.mark.parametrize(("cap", "expected"), [(0.5, (500, 450, 50)), (0.4, (400, 400, 200)), (1 / 3, (1000 / 3,) * 3)])
def test_no_species_gets_more_than_the_cap(cap: float, expected: tuple[float, ...]) -> None:
    found = made_up({"a": 900, "b": 90, "c": 10}, haplotypes=500)
    rates = SourceWeights(species_cap=cap).rates(found)
    assert rates * [900, 90, 10, 500] == pytest.approx([*expected, 1_000 * 385 / 284])


def test_a_cap_that_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"species_cap 0.2: give at least 1/3"):
        SourceWeights(species_cap=0.2).rates(made_up({"a": 900, "b": 90, "c": 10}))


@pytest.mark.parametrize(
    ("name", "value"), [("haplotype_share", 1.0), ("haplotype_share", -0.1), ("species_cap", 0.0), ("temperature", 0.0)]
)
def test_shares_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} {value}: give"):
        SourceWeights(**{name: value})


def test_streams_walk_through_weighted_sources(mixed: Corpus, vocabulary: Ensemble) -> None:
    """Every visit of an epoch is cut, read and masked by draws of its own; each of its bases comes once."""
    config = streams(sources=SourceWeights(haplotype_share=0.3))
    found: dict[Any, list[tuple[int, int]]] = {}
    starts: dict[int, set[tuple[int, ...]]] = {}
    for number in range(STREAMS.streams):
        stream = Stream(mixed, vocabulary, config, number)
        epoch = 0
        while epoch < 2:
            row = stream.row()
            for segment in row.segments if row.vocabulary == "kmer" else []:
                epoch = max(epoch, segment.epoch)
                if segment.epoch == 0:
                    found.setdefault((segment.window, segment.visit), []).append((segment.start, segment.end))
    expected = visits(config.order(mixed), "kmer")
    assert Counter(window for window, _ in found) == expected
    for (window, _), intervals in found.items():
        ends = [end for _, end in sorted(intervals)]
        assert sorted(start for start, _ in intervals) == [0, *ends[:-1]] and ends[-1] == len(mixed.sequence(window))
        starts.setdefault(window, set()).add(tuple(ends))
    twice = [window for window, count in expected.items() if count > 1]
    assert twice and all(len(starts[window]) == expected[window] for window in twice)

"""Haplotypes against a naive reading of R10, and a made-up region with a golden sum."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomics_fm.artefacts import ContentSum
from genomics_fm.genome import cigar
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.randomness import bits, key
from tests.variants import write_vcf


def opened(folder: Path, records: list[str], samples: tuple[str, ...] = ("S",)) -> Haplotypes:
    return Haplotypes(write_vcf(folder / "made.vcf", records, samples), "", "yes", "", HaplotypeRecipe())


def naive(records: list[tuple[int, str, str]], reference: str) -> tuple[str, int]:
    """One haplotype by R10 and how many alleles were skipped; left-aligned by trying every sequence."""
    trimmed = []
    for order, (start, ref, alt) in enumerate(records):
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        while ref and alt and ref[0] == alt[0]:
            start, ref, alt = start + 1, ref[1:], alt[1:]
        trimmed.append((start, start + len(ref), order, alt))
    placed: list[tuple[int, int, str]] = []
    skipped = 0
    for start, end, _, alt in sorted(trimmed):
        before = placed[-1] if placed else (-1, -1, "")
        if start < before[1] or (start == end == before[0] == before[1]):
            skipped += 1
            continue
        alone = reference[:start] + alt + reference[end:]
        while not alt or start == end:
            low, high = start - 1, end - 1
            if low < max(before[1], 0) or (low == high and (low == before[0] == before[1] or low == 0)):
                break
            bases = alone[low : low + len(alt)]
            if reference[:low] + bases + reference[high:] != alone or "N" in reference[low : low + 1]:
                break
            start, end, alt = low, high, bases
        placed.append((start, end, alt))
    made, at = "", 0
    for start, end, alt in placed:
        made += reference[at:start] + alt
        at = end
    return made + reference[at:], skipped


@st.composite
def called(draw: st.DrawFn) -> tuple[str, list[tuple[int, str, str]]]:
    reference = draw(st.text("AC", min_size=12, max_size=24))
    records = []
    for start in sorted(draw(st.lists(st.integers(0, len(reference) - 1), min_size=1, max_size=6))):
        ref = reference[start : start + draw(st.integers(1, 4))]
        alt = draw(st.text("ACG", min_size=1, max_size=4).filter(lambda text, ref=ref: text != ref))
        records.append((start, ref, alt))
    return reference, records


def check_against_naive(folder: Path, reference: str, records: list[tuple[int, str, str]]) -> None:
    haplotypes = opened(folder, [f"{start + 1} {ref} {alt} 1|0" for start, ref, alt in records])
    found = haplotypes.window("chr1", 0, len(reference), reference.encode())
    expected, skipped = naive(records, reference)
    assert [cigar.apply(reference.encode(), one.cigar, one.edits).decode() for one in found] == [expected]
    assert haplotypes.counts["alleles skipped: overlap with another"] == skipped


@settings(max_examples=60, deadline=None)
@given(called())
def test_equal_to_a_naive_reading_of_the_rule(tmp_path_factory: pytest.TempPathFactory, made: tuple) -> None:
    check_against_naive(tmp_path_factory.getbasetemp(), *made)


@pytest.mark.full
@settings(max_examples=5_000, deadline=None)
@given(called())
def test_equal_to_a_naive_reading_of_the_rule_often(tmp_path_factory: pytest.TempPathFactory, made: tuple) -> None:
    check_against_naive(tmp_path_factory.getbasetemp(), *made)


GOLDEN = "0b63fbf084a05ee00def1c1e4aa30b21269d71e5f7add36a7730f1f5046cba22"


def test_a_made_up_region_keeps_its_golden_sum(tmp_path: Path) -> None:
    """The rows of 4 samples in 3 windows of 2,000 nt; a change that alters it says old and new in LOG.md."""
    reference = "".join("ACGT"[draw & 3] for draw in bits(key("golden reference"), 5_800).tolist())
    records = []
    for start, draw in zip(range(20, 5_700, 15), bits(key("golden variants"), 400).tolist(), strict=False):
        ref = reference[start : start + 1 + draw % 3 * (draw % 13)]
        alt = "ACGT"[draw >> 8 & 3] * (1 + (draw >> 10) % 3)
        carried = [draw >> shift & 63 for shift in (16, 22, 28, 34)]
        genotypes = " ".join(f"{one & 1 if one > 1 else '.'}|{one >> 1 & 1}" for one in carried)
        if ref != alt:
            records.append(f"{start + 1} {ref} {alt} {genotypes}")
    haplotypes = opened(tmp_path, records, ("A", "B", "C", "D"))
    content = ContentSum()
    for start in (0, 1_900, 3_800):
        for one in haplotypes.window("chr1", start, start + 2_000, reference[start : start + 2_000].encode()):
            content.add(repr((start, one)).encode())
    haplotypes.finish_contig("chr1", len(reference))
    haplotypes.finish()
    assert haplotypes.counts == {
        "variants": 367,
        "alleles applied": 1395,
        "alleles skipped: overlap with another": 76,
        "alleles missing, read as reference": 42,
        "haplotypes": 24,
    }
    assert content.hexdigest() == GOLDEN

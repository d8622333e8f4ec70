"""Haplotypes by R10: every clause on a reference and a VCF written by hand, with the sequence expected."""

from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import cigar
from genomics_fm.genome.haplotype_rows import CONFLICT_SKIPPED, MISSING_AS_REFERENCE, SYMBOLIC_SKIPPED, Haplotype
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from tests.variants import write_vcf

REFERENCE = "ACGTACGTTTTTGCATGCAA"
#            1   5    10   15   20  (as a VCF counts)


def opened(folder: Path, records: list[str], samples: tuple[str, ...] = ("S",), **recipe: bool) -> Haplotypes:
    vcf = write_vcf(folder / "made.vcf", records, samples)
    return Haplotypes(vcf, "", "yes", "", HaplotypeRecipe(**recipe))


def whole(haplotypes: Haplotypes, reference: str = REFERENCE) -> list[Haplotype]:
    return haplotypes.window("chr1", 0, len(reference), reference.encode())


def sequence(one: Haplotype, reference: str = REFERENCE) -> str:
    made = cigar.apply(reference.encode(), one.cigar, one.edits).decode()
    assert len(made) == one.length
    return made


@pytest.mark.parametrize(
    ("record", "text", "edits", "expected"),
    [
        ("3 G A 1|0", "2=1X17=", b"A", "ACATACGTTTTTGCATGCAA"),
        ("1 A T 1|0", "1X19=", b"T", "TCGTACGTTTTTGCATGCAA"),
        ("20 A T 1|0", "19=1X", b"T", "ACGTACGTTTTTGCATGCAT"),
        ("3 g a 1|0", "2=1X17=", b"A", "ACATACGTTTTTGCATGCAA"),
        # An insertion stands after its anchor, a deletion too.
        ("3 G GAA 1|0", "3=2I17=", b"AA", "ACGAATACGTTTTTGCATGCAA"),
        ("3 GTA G 1|0", "3=2D15=", b"", "ACGCGTTTTTGCATGCAA"),
        ("20 A AG 1|0", "20=1I", b"G", "ACGTACGTTTTTGCATGCAAG"),
        ("1 A TA 1|0", "1I20=", b"T", "TACGTACGTTTTTGCATGCAA"),
        # Trimmed: what REF and ALT have in common is not edited.
        ("1 ACGTA ACTTA 1|0", "2=1X17=", b"T", "ACTTACGTTTTTGCATGCAA"),
        ("2 CGT TGA 1|0", "1=1X1=1X16=", b"TA", "ATGAACGTTTTTGCATGCAA"),
        ("3 GTA CC 1|0", "2=2X1D15=", b"CC", "ACCCCGTTTTTGCATGCAA"),
        ("3 G CCC 1|0", "2=1X2I17=", b"CCC", "ACCCCTACGTTTTTGCATGCAA"),
        # Left-aligned: wherever in the run of T it is written.
        ("10 TTT T 1|0", "7=2D11=", b"", "ACGTACGTTTGCATGCAA"),
        ("12 T TT 1|0", "7=1I13=", b"T", "ACGTACGTTTTTTGCATGCAA"),
        ("18 CAA CAAA 1|0", "18=1I2=", b"A", "ACGTACGTTTTTGCATGCAAA"),
        # … and turned round on the way: inserting GCAT after TGCAT is inserting TGCA before.
        ("16 T TGCAT 1|0", "11=4I9=", b"TGCA", "ACGTACGTTTTTGCATGCATGCAA"),
        # A change that ends at the contig's first base goes no further.
        ("4 TACGT T 1|0", "4D16=", b"", "ACGTTTTTGCATGCAA"),
        ("4 T TACGT 1|0", "1=4I19=", b"CGTA", "ACGTACGTACGTTTTTGCATGCAA"),
    ],
)
def test_one_variant(tmp_path: Path, record: str, text: str, edits: bytes, expected: str) -> None:
    (one,) = whole(opened(tmp_path, [record]))
    assert (one.name, one.cigar, one.edits, one.multiplicity, one.flags) == ("S:1", text, edits, 1, 0)
    assert sequence(one) == expected


def test_neighbours_do_not_conflict(tmp_path: Path) -> None:
    records = ["4 T C 1|0", "4 T TGG 1|0", "5 A G 1|0", "6 CGT C 1|0", "9 T A 1|0"]
    haplotypes = opened(tmp_path, records)
    (one,) = whole(haplotypes)
    assert sequence(one) == "ACGCGGGCATTTGCATGCAA"
    assert one.cigar == "3=1X2I1X1=2D1X11="
    assert one.flags == 0
    assert haplotypes.counts["alleles applied"] == 5


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["3 GTA G 1|0", "5 A C 1|0"], "ACGCGTTTTTGCATGCAA"),
        (["3 G A 1|0", "3 G C 1|0"], "ACATACGTTTTTGCATGCAA"),
        (["3 G GA 1|0", "3 G GC 1|0"], "ACGATACGTTTTTGCATGCAA"),
        # By start, then end, then the order of the file: the SNV ends first.
        (["4 TAC GGG 1|0", "4 T C 1|0"], "ACGCACGTTTTTGCATGCAA"),
        (["3 GTA G 1|0", "4 T C 1|0"], "ACGCACGTTTTTGCATGCAA"),
        # The skipped one does not stand in the way of a third.
        (["3 GTA G 1|0", "5 ACG A 1|0", "6 C G 1|0"], "ACGGGTTTTTGCATGCAA"),
    ],
)
def test_the_later_of_two_that_overlap_is_skipped(tmp_path: Path, records: list[str], expected: str) -> None:
    haplotypes = opened(tmp_path, records)
    (one,) = whole(haplotypes)
    assert sequence(one) == expected
    assert one.flags == CONFLICT_SKIPPED
    assert haplotypes.counts["alleles skipped: overlap with another"] == 1


def test_nothing_is_shifted_past_another_variant_of_the_haplotype(tmp_path: Path) -> None:
    (one,) = whole(opened(tmp_path, ["9 T C 1|0", "11 TT T 1|0"]))
    assert sequence(one) == "ACGTACGTCTTGCATGCAA"
    assert one.cigar == "8=1X1D10="
    (one,) = whole(opened(tmp_path, ["9 T C 0|1", "11 TT T 1|0"]))[:1]
    assert one.cigar == "7=1D12="
    # Two insertions into one run: the first goes to its beginning, the second stops one base behind it.
    (one,) = whole(opened(tmp_path, ["10 T TT 1|0", "11 T TT 1|0"]))
    assert sequence(one) == "ACGTACGTTTTTTTGCATGCAA"


def test_star_is_nothing_under_its_deletion_and_missing_without(tmp_path: Path) -> None:
    filler = [f"{place} {REFERENCE[place - 1]} * 0|0" for place in range(8, 20)] + ["20 A C 1|1"]
    haplotypes = opened(tmp_path, ["3 GTA G 1|0", "4 T C,* 2|1", *filler])
    first, second = whole(haplotypes)
    assert sequence(first) == "ACGCGTTTTTGCATGCAC"
    assert sequence(second) == "ACGCACGTTTTTGCATGCAC"
    assert (first.flags, second.flags) == (0, 0)
    assert haplotypes.counts["alleles *: deletion applied"] == 1
    more = [f"{place} A C 0|0" for place in [20] * 20]
    haplotypes = opened(tmp_path, ["3 GTA G 0|1", "4 T C,* 2|1", "5 A * 0|0", *filler, *more])
    first, _ = whole(haplotypes)
    assert sequence(first) == "ACGTACGTTTTTGCATGCAC"
    assert first.flags == MISSING_AS_REFERENCE
    assert haplotypes.counts["alleles *: without their deletion, missing"] == 1


@pytest.mark.parametrize("alt", ["<DEL>", "<INS:ME:ALU>", "G]17:198982]", "]13:123456]T", ".T", "A."])
def test_symbolic_alleles_are_not_applied_but_told(tmp_path: Path, alt: str) -> None:
    haplotypes = opened(tmp_path, [f"3 G {alt} 1|1", "5 A C 1|0"])
    (one,) = whole(haplotypes)
    assert sequence(one) == "ACGTCCGTTTTTGCATGCAA"
    assert one.flags == SYMBOLIC_SKIPPED
    assert haplotypes.counts["alleles skipped: symbolic"] == 2
    assert haplotypes.counts["haplotypes skipped: all reference"] == 1


def test_a_symbolic_allele_is_told_in_every_window_it_reaches(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G <DEL> INFO=END=12 1|0", "4 T C 1|0", "9 T C 1|0", "16 T C 1|0"])
    reference = REFERENCE.encode()
    flags = [
        one.flags
        for start, end in ((0, 5), (5, 10), (14, 20))
        for one in haplotypes.window("chr1", start, end, reference[start:end])
    ]
    assert flags == [SYMBOLIC_SKIPPED, SYMBOLIC_SKIPPED, 0]


def test_only_what_lies_wholly_inside_the_window_is_applied(tmp_path: Path) -> None:
    records = ["4 T C 1|0", "5 A AGG 1|0", "10 TTTG T 1|0", "14 C G 1|0", "18 CAA C 1|0"]
    haplotypes = opened(tmp_path, records)
    reference = REFERENCE.encode()
    found = [haplotypes.window("chr1", start, end, reference[start:end]) for start, end in ((0, 5), (5, 12), (8, 19))]
    assert [[one.cigar for one in rows] for rows in found] == [["3=1X1=2I"], [], ["2=3D1X5="]]
    assert haplotypes.counts["alleles skipped: across a window's border"] == 2
    assert haplotypes.counts["regions without a variant"] == 1
    assert haplotypes.counts["variants"] == 5


def test_an_allele_has_one_place_whatever_window_shows_it(tmp_path: Path) -> None:
    # Written at the end of the run of T, it belongs to its beginning, which the second window does not hold.
    haplotypes = opened(tmp_path, ["11 TT T 1|0"])
    reference = REFERENCE.encode()
    assert [one.cigar for one in haplotypes.window("chr1", 0, 14, reference[:14])] == ["7=1D6="]
    assert haplotypes.window("chr1", 9, 20, reference[9:]) == []
    assert haplotypes.counts["alleles skipped: across a window's border"] == 1


def test_identical_haplotypes_are_stored_once_under_the_first_name(tmp_path: Path) -> None:
    records = ["3 G A 0|1 1|0 0|1", "7 G C 1|1 0|0 1|0"]
    haplotypes = opened(tmp_path, records, ("U", "V", "W"))
    found = whole(haplotypes)
    assert [(one.name, one.multiplicity, one.edits) for one in found] == [
        ("U:1", 2, b"C"),
        ("U:2", 1, b"AC"),
        ("V:1", 2, b"A"),
    ]
    assert haplotypes.counts["haplotypes"] == 5
    assert haplotypes.counts["haplotypes merged with one alike"] == 2
    assert haplotypes.counts["haplotypes skipped: all reference"] == 1


def test_regions_without_a_variant_are_counted(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["19 A G 1|1"])
    assert haplotypes.window("chr1", 0, 10, REFERENCE[:10].encode()) == []
    assert haplotypes.counts == {"regions without a variant": 1}


def test_a_window_where_nobody_differs(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 0|0 0|0", "5 A . 0|0 0|0"], ("U", "V"))
    assert whole(haplotypes) == []
    assert haplotypes.counts == {"variants": 2, "haplotypes skipped: all reference": 4}


@pytest.mark.parametrize(("missing", "kept"), [(1, True), (2, False)])
def test_too_many_missing_alleles_drop_a_haplotype(tmp_path: Path, missing: int, kept: bool) -> None:
    records = [f"{place} {REFERENCE[place - 1]} N {'.|1' if place <= missing else '0|1'}" for place in range(1, 21)]
    records[9] = "10 T A 1|1"
    haplotypes = opened(tmp_path, records)
    found = whole(haplotypes)
    assert [one.name for one in found] == (["S:1", "S:2"] if kept else ["S:2"])
    assert haplotypes.counts["haplotypes dropped: too many missing alleles"] == 1 - kept
    if kept:
        assert found[0].flags == MISSING_AS_REFERENCE
        assert sequence(found[0]) == REFERENCE[:9] + "A" + REFERENCE[10:]
        assert haplotypes.counts["alleles missing, read as reference"] == 1


def test_snv_only_is_the_papers_rule(tmp_path: Path) -> None:
    records = ["2 CGT CAT 1|0", "4 T TA,C 1|2", "5 ACG A 1|0", "8 TT CC 1|0", "13 G <DEL> 1|0", "14 C * 1|0"]
    first, second = whole(opened(tmp_path, records, snv_only=True))
    assert sequence(first) == "ACATACGTTTTTGCATGCAA"
    assert sequence(second) == "ACGCACGTTTTTGCATGCAA"
    assert first.flags == second.flags == 0


def test_windows_ascend_and_contigs_are_finished(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 1|0"])
    haplotypes.window("chr1", 5, 20, REFERENCE[5:].encode())
    with pytest.raises(ValueError, match="after 5"):
        haplotypes.window("chr1", 0, 5, REFERENCE[:5].encode())
    with pytest.raises(ValueError, match="with 3 letters"):
        haplotypes.window("chr1", 5, 10, b"ACG")
    with pytest.raises(ValueError, match="before contig chr1 was finished"):
        haplotypes.window("chr2", 5, 10, b"ACGTA")


def test_recipe_and_phasing_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"max_missing 1\.5: give a share from 0 to 1"):
        HaplotypeRecipe(max_missing=1.5)
    vcf = write_vcf(tmp_path / "a.vcf", [])
    with pytest.raises(InputError, match="phased 'maybe'; write one of yes, statistical, no"):
        Haplotypes(vcf, "", "maybe", "", HaplotypeRecipe())

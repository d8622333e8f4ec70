"""Phase, ploidy and sex: which haplotypes a sample has in a window, and when it has none (R10)."""

from pathlib import Path

import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import cigar
from genomics_fm.genome.haplotype_rows import MISSING_AS_REFERENCE, RANDOM_PHASE, Haplotype
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.genome.samples import PSEUDOAUTOSOMAL_X, human_assembly, read_samples, sex_region
from tests.variants import write_vcf

REFERENCE = b"ACGTACGTTTTTGCATGCAA"
LEFT_OUT = "samples left out of a window: "


def opened(
    folder: Path,
    records: list[str],
    names: str = "S",
    phased: str = "yes",
    keys: str = "GT",
    random_phase: bool = False,
    seed: int = 0,
    max_missing: float = 0.05,
) -> Haplotypes:
    vcf = write_vcf(folder / "made.vcf", records, names.split(), keys)
    recipe = HaplotypeRecipe(random_phase=random_phase, seed=seed, max_missing=max_missing)
    return Haplotypes(vcf, "", phased, "", recipe)


def whole(haplotypes: Haplotypes) -> list[Haplotype]:
    return haplotypes.window("chr1", 0, 20, REFERENCE)


def short(found: list[Haplotype]) -> dict[str, bytes]:
    return {one.name: one.edits for one in found}


def test_an_unphased_heterozygote_costs_the_samples_rows(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 0/1 0|1 1/1", "5 A C 1|0 1|0 0/0"], "U V W")
    assert short(whole(haplotypes)) == {"V:1": b"C", "V:2": b"A"}
    assert haplotypes.counts[LEFT_OUT + "unphased heterozygote"] == 1
    assert haplotypes.counts["haplotypes merged with one alike"] == 2


def test_only_in_the_windows_it_lies_in(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 0/1", "15 A C 1|0"])
    assert haplotypes.window("chr1", 0, 10, REFERENCE[:10]) == []
    assert short(haplotypes.window("chr1", 8, 20, REFERENCE[8:])) == {"S:1": b"C"}


@pytest.mark.parametrize("genotype", ["./1", "1/2", "0/2"])
def test_whatever_makes_two_alleles_differ_is_heterozygous(tmp_path: Path, genotype: str) -> None:
    haplotypes = opened(tmp_path, [f"3 G A,* {genotype}", "4 T C 1|1"])
    assert whole(haplotypes) == []
    assert haplotypes.counts[LEFT_OUT + "unphased heterozygote"] == 1


def test_a_source_that_is_not_phased_is_not_believed(tmp_path: Path) -> None:
    records = ["3 G A 0|1 1|1", "5 A C 1|0 0|0"]
    haplotypes = opened(tmp_path, records, "U V", "no")
    assert short(whole(haplotypes)) == {"V:1": b"A"}
    assert haplotypes.counts[LEFT_OUT + "unphased heterozygote"] == 1
    assert short(whole(opened(tmp_path, records, "U V", "statistical"))) == {"U:1": b"C", "U:2": b"A"}


def test_the_border_of_a_phase_set_costs_the_samples_rows(tmp_path: Path) -> None:
    records = [
        "3 G A 0|1:3 0|1:3 0|1 0|1:3 0|1:.",
        "5 A C 1|0:3 1|0:5 1|0 1|1:5 1|0:5",
        "7 G C 1|0:3 1|1:9 0|0 0|0:. 0|0:5",
    ]
    haplotypes = opened(tmp_path, records, "SAME OTHER NONE HOMOZYGOUS HALF", keys="GT:PS")
    found = whole(haplotypes)
    assert short(found) == {"SAME:1": b"CC", "SAME:2": b"A", "NONE:1": b"C", "HOMOZYGOUS:2": b"AC"}
    assert sum(one.multiplicity for one in found) == 6
    assert haplotypes.counts[LEFT_OUT + "border of a phase set"] == 2


def test_phase_sets_reach_as_far_as_their_heterozygotes(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 0|1:3", "5 A C 1|0:3", "13 G C 0|1:13"], keys="GT:PS")
    assert len(haplotypes.window("chr1", 0, 10, REFERENCE[:10])) == 2
    assert len(haplotypes.window("chr1", 4, 20, REFERENCE[4:])) == 0


HETEROZYGOTES = [f"{place} {chr(REFERENCE[place - 1])} N 0/1" for place in range(1, 21)]


def drawn(folder: Path, records: list[str], seed: int = 0, names: str = "S") -> list[list[bool]]:
    """For each sample, which alternative alleles are on its first haplotype."""
    found = whole(opened(folder, records, names, "no", random_phase=True, seed=seed))
    assert all(one.flags == RANDOM_PHASE for one in found)
    made = {one.name: one.cigar for one in found}
    return [
        [letter == "X" for length, letter in cigar.operations(made[f"{name}:1"]) for _ in range(length)]
        for name in names.split()
    ]


def test_random_phase_is_a_draw_of_seed_sample_and_variant(tmp_path: Path) -> None:
    (alone,) = drawn(tmp_path, HETEROZYGOTES)
    assert 4 <= sum(alone) <= 16
    assert drawn(tmp_path, HETEROZYGOTES) == [alone]
    assert drawn(tmp_path, HETEROZYGOTES, seed=1) != [alone]
    # Nothing else in the file changes it: not the other samples, not the other variants.
    pairs = [f"{record} 0/1" for record in HETEROZYGOTES]
    other, again = drawn(tmp_path, pairs, names="T S")
    assert again == alone
    assert other != alone
    fewer = [record for record in HETEROZYGOTES if not record.startswith("7 ")]
    (fewer_drawn,) = drawn(tmp_path, fewer)
    assert [*fewer_drawn[:6], *fewer_drawn[7:]] == [*alone[:6], *alone[7:]]


def test_random_phase_joins_phase_sets_as_wholes(tmp_path: Path) -> None:
    records = [f"{place} {chr(REFERENCE[place - 1])} N 0|1:{1 + place // 2}" for place in range(2, 20)]
    found = whole(opened(tmp_path, records, keys="GT:PS", random_phase=True))
    first = [letter == "X" for length, letter in cigar.operations(found[0].cigar) for _ in range(length)]
    sets = [first[place : place + 2] for place in range(1, 19, 2)]
    assert all(one == other for one, other in sets)
    assert 0 < sum(one for one, _ in sets) < len(sets)
    assert found[0].flags == RANDOM_PHASE


def test_what_was_phased_has_no_flag_of_a_draw(tmp_path: Path) -> None:
    found = whole(opened(tmp_path, ["3 G A 0|1 0/1", "5 A C 0|1 0|1"], "U V", random_phase=True))
    assert found[0].name == "U:2"
    assert found[0].flags == 0


def test_haploid_genotypes_give_one_haplotype(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 1 0|1 /1", "5 A C . 0|1 0"], "U V W", max_missing=0.5)
    found = whole(haplotypes)
    assert [(one.name, one.edits, one.multiplicity) for one in found] == [("U:1", b"A", 2), ("V:2", b"AC", 1)]
    assert haplotypes.counts["haplotypes skipped: all reference"] == 1


def test_a_single_dot_is_missing_at_any_ploidy(tmp_path: Path) -> None:
    records = ["3 G A 1|1 1", "5 A C . ."]
    haplotypes = opened(tmp_path, records, "TWO ONE", max_missing=0.5)
    (one,) = whole(haplotypes)
    assert (one.name, one.multiplicity, one.flags) == ("TWO:1", 3, MISSING_AS_REFERENCE)
    assert haplotypes.counts["alleles missing, read as reference"] == 3


def test_haploid_and_diploid_in_one_window(tmp_path: Path) -> None:
    haplotypes = opened(tmp_path, ["3 G A 1", "5 A C 1|0"])
    assert whole(haplotypes) == []
    assert haplotypes.counts[LEFT_OUT + "haploid and diploid genotypes"] == 1


def on_sex_chromosome(folder: Path, contig: str, start: int, assembly: str, genotypes: str) -> Haplotypes:
    """Samples DAN (M), EVE (F) and X (not known) with one SNV in a window of 20 nt at `start`."""
    people = folder / "people.tsv"
    people.write_text("sample\tsex\tpopulation\nDAN\tM\tGBR\nEVE\tF\tGBR\nX\t.\n")
    vcf = write_vcf(folder / "sex.vcf", [f"{contig}:{start + 3} G A {genotypes}"], ["X", "EVE", "DAN"])
    return Haplotypes(vcf, str(people), "yes", assembly, HaplotypeRecipe())


@pytest.mark.parametrize(
    ("contig", "start", "assembly", "names"),
    [
        ("20", 5_000_000, "GRCh37", {"DAN:1", "DAN:2", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("X", 5_000_000, "GRCh37", {"DAN:1", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("chrX", 5_000_000, "hg38", {"DAN:1", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("X", 1_000_000, "GRCh37.p13", {"DAN:1", "DAN:2", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("X", 2_750_000, "GRCh38", {"DAN:1", "DAN:2", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("X", 2_750_000, "b37", {"DAN:1", "EVE:1", "EVE:2", "X:1", "X:2"}),
        ("X", 2_699_510, "hg19", {"EVE:1", "EVE:2", "X:1", "X:2"}),
        ("chrY", 5_000_000, "hg19", {"DAN:1", "X:1", "X:2"}),
        ("X", 5_000_000, "GRCm39", {"DAN:1", "DAN:2", "EVE:1", "EVE:2", "X:1", "X:2"}),
    ],
)
def test_sex_decides_outside_the_pseudoautosomal_regions(
    tmp_path: Path, contig: str, start: int, assembly: str, names: set[str]
) -> None:
    haplotypes = on_sex_chromosome(tmp_path, contig, start, assembly, "1|1 1|1 1|1")
    (one,) = haplotypes.window(contig, start, start + 20, REFERENCE)
    assert one.multiplicity == len(names)
    assert one.name == min(names)


def test_a_male_heterozygote_on_x_is_missing(tmp_path: Path) -> None:
    haplotypes = on_sex_chromosome(tmp_path, "X", 5_000_000, "GRCh37", "0|0 0|0 0/1")
    assert haplotypes.window("X", 5_000_000, 5_000_020, REFERENCE) == []
    assert haplotypes.counts["genotypes missing: heterozygous male on X or Y"] == 1
    assert haplotypes.counts["haplotypes dropped: too many missing alleles"] == 1


@pytest.mark.parametrize(
    ("assembly", "note"), [("GRCh37", "the sex of 1 samples is not known"), ("mm10", "assembly 'mm10' are not known")]
)
def test_where_sex_is_of_no_use_it_is_said(tmp_path: Path, assembly: str, note: str) -> None:
    haplotypes = on_sex_chromosome(tmp_path, "X", 5_000_000, assembly, "0|0 0|0 1|1")
    haplotypes.window("X", 5_000_000, 5_000_020, REFERENCE)
    assert len(haplotypes.notes) == 1
    assert note in haplotypes.notes[0]


def test_pseudoautosomal_regions() -> None:
    assert {name: [end - start for start, end in pairs] for name, pairs in PSEUDOAUTOSOMAL_X.items()} == {
        "GRCh37": [2_639_520, 329_517],
        "GRCh38": [2_771_479, 329_513],
    }
    assert sex_region("GRCh37", "X", 60_000, 60_010) == "both"
    assert sex_region("GRCh37", "X", 59_999, 60_009) == "X border"
    assert sex_region("GRCh37", "X", 59_990, 60_000) == "X"
    assert [human_assembly(name) for name in ("hg38", "GRCh38.p14", "hs37d5", "TAIR10")] == ["GRCh38"] * 2 + [
        "GRCh37",
        "",
    ]


def test_the_samples_of_the_list_in_its_order(tmp_path: Path) -> None:
    people = tmp_path / "people.tsv"
    people.write_text("# from the panel\nW\tF\nU\tM\tGBR\n")
    vcf = write_vcf(tmp_path / "a.vcf", ["3 G A 0|1 0/1 0|1"], ["U", "V", "W"])
    (one,) = whole(Haplotypes(vcf, str(people), "yes", "", HaplotypeRecipe()))
    assert (one.name, one.multiplicity) == ("W:2", 2)
    assert [(sample.name, sample.sex, sample.population) for sample in read_samples(str(people))] == [
        ("W", "F", ""),
        ("U", "M", "GBR"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: no sample in the list"),
        ("sample\tsex\n", ":1: no sample in the list"),
        ("S\n", ":1: 1 columns; write sample"),
        ("S M\n", ":1: 1 columns; write sample"),
        ("S\tM\tGBR\tEUR\n", ":1: 4 columns"),
        ("\tM\n", ":1: 2 columns"),
        ("S\tmale\n", ":1: sex 'male'; write M, F or ."),
        ("S\tM\nS\tM\n", ":2: sample 'S' stands twice"),
        ("T\tM\n", ":1: sample 'T' is not in "),
        ("S\tM\tSão\n", ": non-ASCII byte at "),
    ],
)
def test_sample_lists_are_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    people = tmp_path / "people.tsv"
    people.write_text(text)
    vcf = write_vcf(tmp_path / "a.vcf", ["3 G A 0|1"])
    with pytest.raises(InputError) as refused:
        Haplotypes(vcf, str(people), "yes", "", HaplotypeRecipe())
    assert str(refused.value).startswith(f"{people}{message}")


def test_a_missing_list_and_a_vcf_without_samples(tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "a.vcf", ["3 G A"], samples=())
    with pytest.raises(InputError, match="no samples, so no genotypes"):
        Haplotypes(vcf, "", "yes", "", HaplotypeRecipe())
    with pytest.raises(InputError, match=r"absent\.tsv: No such file"):
        read_samples(str(tmp_path / "absent.tsv"))

from collections import Counter

import pytest

from genomics_fm.corpus import composition
from genomics_fm.corpus.composition import NO_CLADE, by_clade, by_species, left_out, unaccounted, volumes, whole
from tests.unit.corpus_manifest import format_1, made_up


def test_species_clades_and_the_whole_agree_with_the_manifest() -> None:
    manifest = made_up()
    species = by_species(manifest)
    clades = by_clade(species)
    total = whole(species)
    assert len(species) == total.species == sum(clade.species for clade in clades) == 30
    assert [clade.name for clade in clades] == list(composition.CLADES)
    assert dict(total.counts) == manifest["counts"] == dict(sum((clade.counts for clade in clades), Counter()))
    assert total.kept == sum(entry["nucleotides_kept"] for entry in manifest["assemblies"])
    bacteria = clades[1]
    assert next(group.name for group in species if group.clade == "Bacteria") == "Klebsiella pneumoniae"
    assert bacteria.weights == [2.5] * 6
    assert bacteria.weighted_nt == pytest.approx(2.5 * bacteria.kept)
    assert sum(bacteria.log2_bp.values()) == bacteria.counts["windows"]
    assert sum(total.gc_percent.values()) == sum(sum(group.gc_percent.values()) for group in species)


def test_gc_and_unknown_are_shares_of_the_rows() -> None:
    group = by_species({"counts_by_species": {"x": {"row_nt": 1_000, "row_nt: N": 200, "row_nt: GC": 200}}})[0]
    assert (group.gc, group.unknown) == (0.25, 0.2)


def test_clades_that_are_not_the_papers_come_after_it_and_none_last() -> None:
    entries = [["a", "", ""], ["b", "", "Plants"], ["c", "", "Fish"], ["d", "", "Archaea"], ["e", "", "Fungi"]]
    clades = by_clade(by_species({"assemblies": entries}))
    assert [clade.name for clade in clades] == ["Fungi", "Fish", "Archaea", "Plants", NO_CLADE]


def test_format_1_has_no_histograms_and_no_weights() -> None:
    (group,) = by_species(format_1())
    assert (group.name, group.clade, group.kept, group.assemblies) == ("Fictus exemplaris", NO_CLADE, 4_520, 1)
    assert group.gc is None and group.unknown is None
    assert not group.gc_percent and not group.weights
    assert whole([group]).counts == format_1()["counts"]


def test_distinct_and_total_nucleotides() -> None:
    """600 haplotypes of 3 Mb are 1.8 Gb of one locus."""
    counts = {
        "nucleotides_read": 3_200_000,
        "nucleotides_kept": 3_000_000,
        "nucleotides_in_overlaps": 2_200,
        "haplotype_rows": 9_000,
        "haplotype_nt": 1_100_000_000,
        "haplotype_nt_with_multiplicity": 1_800_000_000,
    }
    said = dict(volumes(counts))
    assert said["kept: distinct nucleotides of the references"] == 3_000_000
    assert said["all rows, as stored"] == 1_103_002_200
    assert said["all rows, as often as they are carried"] == 1_803_002_200
    assert not any("haplotype" in what for what, _ in volumes(counts | {"haplotype_rows": 0}))


def test_what_was_left_out_adds_up_or_says_so() -> None:
    counts = {
        "nucleotides_read": 100,
        "nucleotides_kept": 60,
        "dropped_nt: organelle": 10,
        "dropped_contigs: organelle": 2,
        "dropped_nt: excluded": 30,
        "dropped_nt: run of N": 0,
        "excluded_nt: interval": 29,
        "excluded_places: sequence": 3,
        "dropped_rows: phase-set border": 4,
        "variants applied": 7,
    }
    assert left_out(counts) == {
        "excluded": {"nucleotides": 30},
        "organelle": {"nucleotides": 10, "contigs": 2},
        "phase-set border": {"rows": 4},
    }
    assert list(left_out(counts)) == ["excluded", "organelle", "phase-set border"]
    assert unaccounted(counts) == 0
    assert unaccounted(counts | {"nucleotides_kept": 55}) == 5
    assert composition.other_counts(counts) == {
        "excluded_nt: interval": 29,
        "excluded_places: sequence": 3,
        "variants applied": 7,
    }
    assert unaccounted(made_up()["counts"]) == 0

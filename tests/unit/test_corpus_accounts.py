"""Counts that do not add up are refused; those of real genomes and real haplotypes do."""

import copy
import dataclasses
import gzip
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.artefacts import sealed
from genomics_fm.corpus.accounts import check_counts, check_part
from genomics_fm.corpus.build import PARTS, build_unit
from genomics_fm.corpus.commit import commit
from genomics_fm.corpus.manifest import MANIFEST
from genomics_fm.corpus.plan import Plan, units
from genomics_fm.corpus.sources import Source
from genomics_fm.corpus.windows import Recipe
from genomics_fm.errors import CorruptArtefact
from genomics_fm.storage import Folder
from tests.corpora import RECIPE, build, dna, write_fasta

SHARED = Path(__file__).parents[3] / "shared" / "data"
COUNTS = {
    "nucleotides_read": 1_000,
    "nucleotides_kept": 900,
    "dropped_nt: run of N": 60,
    "dropped_nt: organelle": 40,
    "excluded_nt: interval": 7,  # says more of what is counted elsewhere
    "nucleotides_in_overlaps": 100,
    "row_nt": 1_000,
    "windows": 9,
    "haplotype_rows": 3,
    "haplotypes": 5,
    "haplotypes merged with one alike": 2,
}
PART: dict[str, Any] = {
    "counts": COUNTS,
    "blocks": [{"rows": 8}, {"rows": 4}],
    "content": [12, "00"],
    "gc_percent": {"40": 4, "41": 5},
    "window_log2_bp": {"9": 9},
}


def test_counts_that_add_up_pass() -> None:
    check_part(PART, "a part")
    check_counts({}, 0, "nothing")


@pytest.mark.parametrize("name", [name for name in COUNTS if not name.startswith("excluded_nt")])
@pytest.mark.parametrize("change", [-1, 1])
def test_one_more_or_less_of_anything_is_refused(name: str, change: int) -> None:
    with pytest.raises(CorruptArtefact, match=r"^a part: counts do not add up: [0-9,]+ .*, but [0-9,]+ .*; "):
        check_counts({**COUNTS, name: COUNTS[name] + change}, 12, "a part")


@pytest.mark.parametrize(
    ("place", "value"),
    [(("blocks", 0, "rows"), 7), (("content", 0), 13), (("gc_percent", "40"), 5), (("window_log2_bp", "9"), 8)],
)
def test_a_part_that_contradicts_itself_is_refused(place: tuple[Any, ...], value: int) -> None:
    part = copy.deepcopy(PART)
    inside: Any = part
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    with pytest.raises(CorruptArtefact, match="a part: counts do not add up"):
        check_part(part, "a part")


def test_no_corpus_is_made_of_a_part_that_lost_a_base(tmp_path: Path) -> None:
    source = Source(str(write_fasta(tmp_path / "a.fa", {"a": dna(5_000, 0)})), "Fictus")
    (unit,), plan, folder = units([source]), Plan(recipe=RECIPE), Folder(tmp_path / "corpus")
    part = build_unit(unit, plan, folder, tmp_path, unit.identity(plan.identity()))
    part["counts"]["nucleotides_kept"] -= 1
    (folder / PARTS).write_json("00000-00000.json", sealed(part))
    said = re.escape(f"{folder}/parts/00000-00000.json: counts do not add up: 4,999 nucleotides kept and dropped")
    with pytest.raises(CorruptArtefact, match=rf"^{said}, but 5,000 nucleotides read;"):
        commit(folder, [unit], plan)
    assert not folder.exists(MANIFEST)


def letters_in(fasta: Path) -> int:
    """Nucleotides of a FASTA under gzip, counted without our readers."""
    with gzip.open(fasta, "rb") as file:
        return sum(len(line.strip()) for line in file if not line.startswith(b">"))


def check_real(tmp_path: Path, genomes: list[str], **about: str) -> Counter[str]:
    """Build a corpus of shared genomes, to the last of which `about` belongs; what was counted."""
    files = [SHARED / "genomes" / name for name in genomes]
    sources = [Source(str(file), file.name, file.name) for file in files]
    sources[-1] = dataclasses.replace(sources[-1], **about)  # type: ignore[arg-type]
    corpus = build(tmp_path / "corpus", sources, Recipe())
    counts = Counter(corpus.manifest["counts"])
    assert counts["nucleotides_read"] == sum(map(letters_in, files))
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped_nt: "))
    assert counts["nucleotides_kept"] + dropped == counts["nucleotides_read"]
    assert counts["windows"] + counts["haplotype_rows"] == len(corpus)
    assert counts["haplotypes"] == counts["haplotype_rows"] + counts["haplotypes merged with one alike"]
    windows = [corpus.window(row) for row in range(len(corpus))]
    assert sum(not window.haplotype for window in windows) == counts["windows"]
    assert sum(window.multiplicity for window in windows if window.haplotype) == counts["haplotypes"]
    assert sum(len(window.sequence) for window in windows if not window.haplotype) == counts["row_nt"]
    assert sum(len(window.sequence) for window in windows if window.haplotype) == counts["haplotype_nt"]
    return counts


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_counts_of_real_genomes(tmp_path: Path) -> None:
    counts = check_real(tmp_path, ["phage_lambda.fa.gz", "celegans_chrI_1Mb.fa.gz", "bacteria/HPylori_G27.fasta.gz"])
    assert counts["nucleotides_kept"] > 2_600_000


@pytest.mark.full
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_counts_of_real_haplotypes(tmp_path: Path) -> None:
    vcf = SHARED / "variants" / "kg_chr20_1-4Mb_shapeit4" / "reference.vcf.gz"
    counts = check_real(
        tmp_path, ["yeast_S288C.fa.gz", "human_GRCh37_chr20.fa.gz"], vcf=str(vcf), phased="yes", assembly="GRCh37"
    )
    assert counts["haplotype_rows"] > 1_000 and counts["dropped_nt: run of N"] > 3_000_000

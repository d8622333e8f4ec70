"""The VCF layer: one strict reading of text, block gzip and BCF, with and without an index."""

import gzip
from pathlib import Path

import pysam
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.genotypes import ABSENT, MISSING, NO_PHASE_SET, UNKNOWN, read_genotypes
from genomics_fm.genome.haplotypes import HaplotypeRecipe, Haplotypes
from genomics_fm.genome.variants import Variants, summarise
from genomics_fm.genome.vcf_records import Record, parse_record, spelling
from tests.variants import vcf_text

GENOME = {"chr1": "ACGTACGTTTTTGCATGCAA", "chr2": "GGGGCCCCAANNTTACGTAC", "chr3": "ACACACACACAC"}
RECORDS = ["3 G A,C 0|1 1|2", "8 TT T 0/1 ./.", "2:5 C CAT 1|1 0|0", "3:1 A <DEL> 0|0 .", "3:3 A * 0|1 1"]

DEFINED = """##INFO=<ID=END,Number=1,Type=Integer,Description="End">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""  # BCF numbers these


def genome(folder: Path, contigs: dict[str, str] = GENOME) -> str:
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{letters}\n" for name, letters in contigs.items()))
    return str(path)


def written(folder: Path, kind: str, records: list[str] = RECORDS, samples: tuple[str, ...] = ("U", "V")) -> str:
    """A VCF as `plain`, `gzip`, `bgzip`, `bgzip+tbi`, `bgzip+csi`, `bcf` or `bcf+csi`."""
    contigs = [f"ID={name}" for name in ("chr1", "2", "3")]
    text = vcf_text(records, samples, contigs)
    path = folder / "made.vcf"
    path.write_text(text)
    form, _, index = kind.partition("+")
    if form == "plain":
        return str(path)
    if form == "gzip":
        packed = Path(f"{path}.gz")
        packed.write_bytes(gzip.compress(text.encode()))
        return str(packed)
    if form == "bgzip":
        pysam.tabix_compress(str(path), f"{path}.gz", force=True)
        if index:
            pysam.tabix_index(f"{path}.gz", preset="vcf", force=True, csi=index == "csi")
        return f"{path}.gz"
    binary = folder / "made.bcf"
    path.write_text(text.replace("##contig", f"{DEFINED}##contig", 1))
    with pysam.VariantFile(str(path)) as source, pysam.VariantFile(str(binary), "wb", header=source.header) as sink:
        for record in source:
            sink.write(record)
    if index:
        pysam.tabix_index(str(binary), preset="bcf", force=True)
    return str(binary)


KINDS = ["plain", "gzip", "bgzip", "bgzip+tbi", "bgzip+csi", "bcf", "bcf+csi"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_says_the_same(tmp_path: Path, kind: str) -> None:
    vcf = written(tmp_path, kind)
    variants = Variants(vcf)
    found = []
    for name, letters in GENOME.items():
        found += [(record.contig, record.start, record.ref, record.alts, record.stop) for record in variants.of(name)]
        variants.close(name, len(letters))
    variants.finish()
    assert variants.samples == ("U", "V")
    assert found == [
        ("chr1", 2, b"G", (b"A", b"C"), 3),
        ("chr1", 7, b"TT", (b"T",), 9),
        ("2", 4, b"C", (b"CAT",), 5),
        ("3", 0, b"A", (b"<DEL>",), 1),
        ("3", 2, b"A", (b"*",), 3),
    ]
    assert variants.notes == ["contig names: VCF '2' read as 'chr2', and others alike"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_summary_is_one_line(tmp_path: Path, kind: str) -> None:
    vcf = written(tmp_path, kind)
    reference = genome(tmp_path)
    what = (
        "5 records, 2 samples, contigs chr1, 2, 3, 2 SNV, 2 indel, 1 other, 1 symbolic, 4 heterozygotes, "
        "75.0% of them phased, 2 genotypes missing"
    )
    assert summarise(vcf, None) == f"{vcf}: {what}"
    note = "contig names: VCF '2' read as 'chr2', and others alike"
    assert summarise(vcf, reference) == f"{vcf}: {what}, every REF is that of {reference}, {note}"


def test_sites_without_samples(tmp_path: Path) -> None:
    vcf = written(tmp_path, "plain", ["3 G A", "2:5 C ."], ())
    assert summarise(vcf, genome(tmp_path)).startswith(f"{vcf}: 2 records, 0 samples, contigs chr1, 2, 1 SNV")


def test_with_an_index_contigs_come_in_any_order(tmp_path: Path) -> None:
    turned = {name: GENOME[name] for name in ("chr3", "chr1", "chr2")}
    for kind in ("bgzip+tbi", "bcf+csi"):
        assert "5 records" in summarise(written(tmp_path, kind), genome(tmp_path, turned))
    with pytest.raises(InputError, match=r"chr1:3: contig chr1 stands earlier|index the file with `bcftools index`"):
        summarise(written(tmp_path, "plain"), genome(tmp_path, turned))


@pytest.mark.parametrize("kind", ["bgzip+tbi", "bgzip+csi", "bcf+csi"])
@pytest.mark.parametrize("fewer", [RECORDS[:4], [], RECORDS * 1_000])
def test_an_index_of_another_file(tmp_path: Path, kind: str, fewer: list[str]) -> None:
    other = written(tmp_path, kind, sorted(fewer, key=RECORDS.index))
    index = Path(f"{other}.{kind.partition('+')[2]}")
    stale = index.read_bytes()
    assert Variants(written(tmp_path, kind)).samples == ("U", "V")
    index.write_bytes(stale)
    with pytest.raises(InputError, match="make it again with `bcftools index -f`"):
        Variants(other)


@pytest.mark.parametrize("kind", KINDS)
def test_contigs_the_genome_lacks(tmp_path: Path, kind: str) -> None:
    vcf = written(tmp_path, kind)
    fewer = genome(tmp_path, {name: GENOME[name] for name in ("chr1", "chr2")})
    with pytest.raises(InputError, match="contig '3' is not in the genome; give the genome"):
        summarise(vcf, fewer)


def test_a_genome_in_several_files_needs_an_index(tmp_path: Path) -> None:
    for kind in ("bgzip+tbi", "plain"):
        haplotypes = Haplotypes(written(tmp_path, kind), "", "yes", "", HaplotypeRecipe())
        haplotypes.finish_contig("chr2", 20)
        if kind == "plain":
            with pytest.raises(InputError, match=r"made\.vcf:6: chr1:3: the genome is in several files; index"):
                haplotypes.unclaimed()
        else:
            assert haplotypes.unclaimed() == ("chr1", "3")


def test_n_in_the_genome_agrees_with_every_base(tmp_path: Path) -> None:
    assert "1 records" in summarise(written(tmp_path, "plain", ["2:10 AGCT A 0|1 0|0"]), genome(tmp_path))
    with pytest.raises(InputError, match=r"made\.vcf:6: 2:10: REF b?'AGCG' is not the genome's b?'ANNT'"):
        summarise(written(tmp_path, "plain", ["2:10 AGCG A 0|1 0|0"]), genome(tmp_path))


def test_what_lies_between_windows_is_read_too(tmp_path: Path) -> None:
    haplotypes = Haplotypes(written(tmp_path, "plain"), "", "yes", "", HaplotypeRecipe())
    assert haplotypes.window("chr1", 0, 3, b"ACG")[0].edits == b"A"
    haplotypes.finish_contig("chr1", 20)
    haplotypes.finish_contig("chr2", 20)
    haplotypes.finish_contig("chr3", 12)
    haplotypes.finish()
    assert haplotypes.counts["variants outside every window"] == 4
    haplotypes = Haplotypes(written(tmp_path, "plain"), "", "yes", "", HaplotypeRecipe())
    with pytest.raises(InputError, match=r":7: chr1:8: outside the contig of 8 nt"):
        haplotypes.finish_contig("chr1", 8)


def test_a_ref_across_windows_is_compared_piece_by_piece(tmp_path: Path) -> None:
    vcf = written(tmp_path, "plain", ["6 CGTTTTTGCATGA C 0|1 0|0"])
    haplotypes = Haplotypes(vcf, "", "yes", "", HaplotypeRecipe())
    haplotypes.window("chr1", 0, 10, GENOME["chr1"][:10].encode())
    with pytest.raises(InputError, match="REF 'CGTTTTTGCATGA' is not the genome's"):
        haplotypes.window("chr1", 8, 20, GENOME["chr1"][8:].encode())


@pytest.mark.parametrize(
    ("name", "bare"), [("chr20", "20"), ("20", "20"), ("Chr2", "2"), ("chrM", "MT"), ("MT", "MT"), ("chr", "chr")]
)
def test_spelling(name: str, bare: str) -> None:
    assert spelling(name) == bare


def record(columns: str, keys: str = "GT") -> Record:
    return parse_record(f"1\t5\t.\tA\tC,G\t.\t.\t.\t{keys}\t{columns}".encode(), 7, "a.vcf", True)


def test_genotypes() -> None:
    columns = "0|1:9:3\t1/2\t.\t./.\t1:.:.\t|0\t2|.:1:44:x\t.|."
    found = read_genotypes(record(columns, "GT:DP:PS:X"), tuple("ABCDEFGH"))
    assert found.first.tolist() == [0, 1, MISSING, MISSING, 1, 0, 2, MISSING]
    assert found.second.tolist() == [1, 2, UNKNOWN, MISSING, ABSENT, ABSENT, MISSING, MISSING]
    assert found.phased.tolist() == [True, False, True, False, True, True, True, True]
    assert found.phase_set is not None
    none = NO_PHASE_SET
    assert found.phase_set.tolist() == [3, none, none, none, none, none, 44, none]
    assert read_genotypes(record("0|1"), ("A",)).phase_set is None


@pytest.mark.parametrize(
    ("columns", "keys", "message"),
    [
        ("0|1", "GT", "fewer columns than the header's 2 samples"),
        ("0|1\t0|1\t0|1", "GT", "more columns than the header's 2 samples"),
        ("0|1\t0|1\t", "GT", "more columns than the header's 2 samples"),
        ("0|1\t", "GT", "sample V: a malformed genotype; write 0|1"),
        ("\t0|1", "GT", "sample U: a malformed genotype"),
        ("0|1\t0|", "GT", "sample V: a malformed genotype"),
        ("0|1\t0\\1", "GT", "sample V: a malformed genotype"),
        ("0|1\t0|1x", "GT", "sample V: a malformed genotype"),
        ("0|1\tA|1", "GT", "sample V: a malformed genotype"),
        ("0|1\t-1|1", "GT", "sample V: a malformed genotype"),
        ("0|1\t0|3", "GT", "sample V: an allele number with no ALT to it"),
        ("0|1\t0|99999999999999999999", "GT", "sample V: an allele number with no ALT to it"),
        ("0|1\t0|1|1", "GT", "sample V: a genotype of three or more alleles"),
        ("0|1:5\t0|1:a", "GT:PS", "sample V: a phase set that is no number"),
        ("0|1:5\t0|1:", "GT:PS", "sample V: a phase set that is no number"),
        ("0|1:5\t0|1:5.", "GT:PS", "sample V: a phase set that is no number"),
        ("0|1:5\t0|1:4294967296", "GT:PS", "sample V: a phase set that is no number"),
        ("5:0|1\t5:0|1", "DP:GT", "FORMAT does not begin with GT"),
        ("5\t5", "DP", "FORMAT does not begin with GT"),
    ],
)
def test_malformed_genotypes(columns: str, keys: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_genotypes(record(columns, keys), ("U", "V"))
    assert str(refused.value).startswith(f"a.vcf:7: 1:5: {message}")

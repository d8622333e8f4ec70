"""Places in a genome and tables of sequences, as `genomics-fm predict` reads them."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.inference import predict_source
from genomics_fm.inference.predict_source import Source
from genomics_fm.inference.sequences import Familiar
from tests.heads import random_sequences

FAMILIAR = Familiar((20, 20))
ONE, TWO = random_sequences(2, seed=1, low=300, high=300)


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1 first\n{ONE.lower()}\n>chr2\n{TWO}\n")
    return str(path)


def write(path, text):
    path.write_text(text)
    return str(path)


def items(location, genome=None, stranded=False):
    return [item for chunk in Source(location, genome, stranded).chunks(FAMILIAR) for item in chunk]


BED = "chr2\t100\t120\tpeak\t0\t-\nchr1\t0\t20\t.\t0\t+\nchr2\t5\t25\t.\t0\t-\n"


def test_places_of_a_bed_file_in_its_order_on_the_forward_strand(tmp_path, genome, monkeypatch):
    monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", 2)
    found = items(write(tmp_path / "in.bed", BED), genome)
    assert [name for name, _ in found] == ["peak", "chr1:0-20:+", "chr2:5-25:+"]
    assert [item.sequence for _, item in found] == [TWO[100:120], ONE[:20], TWO[5:25]]
    assert all(item.warnings == () for _, item in found)


def test_a_place_that_is_too_long_is_refused_before_the_genome_is_read(tmp_path):
    places = write(tmp_path / "in.bed", "chr1\t0\t20\nchr1\t0\t900000\n")
    with pytest.raises(InputError, match=r"in\.bed:2.*900,000"):
        items(places, "package:no/such genome")


def test_a_stranded_head_reads_places_on_their_strand_and_needs_one(tmp_path, genome):
    found = items(write(tmp_path / "in.bed", BED), genome, stranded=True)
    assert [item.sequence for _, item in found] == [reverse_complement(TWO[100:120]), ONE[:20],
                                                    reverse_complement(TWO[5:25])]  # fmt: skip
    with pytest.raises(InputError, match=r"in\.bed:1: .*strand.*'\.'"):
        items(write(tmp_path / "in.bed", "chr1\t0\t20\n"), genome, stranded=True)


def test_tables_of_sequences_and_of_places(tmp_path, genome):
    rna = TWO[:20].replace("T", "U")
    plain = write(tmp_path / "in.csv", f"name,sequence,score\na,{ONE[:20]},3\n,{rna},4\n")
    (first, one), (second, other) = items(plain)
    assert (first, one.sequence, one.warnings) == ("a", ONE[:20], ())
    assert (second, other.sequence) == (f"{plain}:3", TWO[:20])
    assert other.warnings == (f"{rna.count('U')} U read as T",)
    packed = tmp_path / "in.tsv.gz"
    packed.write_bytes(gzip.compress(b"chrom\tstart\tend\nchr2\t7\t27\n2\t8\t28\n"))
    assert [item.sequence for _, item in items(str(packed), genome)] == [TWO[7:27], TWO[8:28]]
    pq.write_table(pa.table({"sequence": [ONE[:30]]}), tmp_path / "in.parquet")
    ((name, item),) = items(str(tmp_path / "in.parquet"))
    assert (name, item.warnings) == (f"{tmp_path / 'in.parquet'}: row 1", ("30 nt; the head was trained on 20 nt",))


@pytest.mark.parametrize(
    ("name", "text", "with_genome", "words"),
    [
        ("in.bed", BED, False, "places without a genome; give the one they lie in with --genome"),
        ("in.bed", "chr1\t0\t9\n", True, r"in\.bed:1: 9 nt; give sequences of 10 to 2,000 nt"),
        ("in.bed", "chr1\t290\t310\n", True, r"in\.bed:1: .*past the end of chr1"),
        ("in.bed", "chr9\t0\t20\n", True, r"in\.bed:1: no contig 'chr9'"),
        ("in.bed", "# nothing\n", True, "no intervals"),
        ("in.csv", "name,seq\na,ACGTACGTACGT\n", False, r"in\.csv:1: no column 'sequence'"),
        ("in.csv", "sequence\nACGTACGTAC\nACGTACGTACEF\n", False, r"in\.csv:3: column 'sequence': letter 'E'"),
        ("in.csv", "sequence\nACGT\n", False, r"in\.csv:2: column 'sequence': 4 nt; give sequences of 10"),
        ("in.csv", "sequence\nACGTACGTACGT\n", True, "a genome, but no contig, start and end"),
        ("in.csv", "sequence,contig,start,end\nACGTACGTACGT,chr1,0,20\n", True, "sequences and a genome"),
        ("in.csv", "contig,start,end\nchr1,0,20\n", False, "places without a genome"),
        ("in.csv", "sequence\n", False, "no rows"),
        ("in.fa", ">a\nACGTACGTACGT\n", True, "sequences and a genome; leave --genome away"),
        ("in.fa", "", False, r"in\.fa:1: .*blank|empty"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(tmp_path, genome, name, text, with_genome, words):
    with pytest.raises(InputError, match=words) as caught:
        items(write(tmp_path / name, text), genome if with_genome else None)
    assert "\n" not in str(caught.value)


def test_files_longer_than_what_is_held_give_the_same_and_name_the_same_lines(tmp_path, genome, monkeypatch):
    draws = [(name, start) for start in range(40) for name in ("chr2", "chr1")]
    bed = write(tmp_path / "in.bed", "".join(f"{name}\t{start}\t{start + 20}\n" for name, start in draws))
    sequences = random_sequences(25, seed=4, low=20, high=30)
    csv = write(tmp_path / "in.csv", "sequence\n" + "\n".join(sequences) + "\n\nACGT\n")
    pq.write_table(pa.table({"sequence": [*sequences, "ACGT"], "other": range(26)}), tmp_path / "in.parquet")
    whole = items(bed, genome)
    monkeypatch.setattr(predict_source, "PLACES_HELD", 7)
    monkeypatch.setattr(predict_source, "ROWS_HELD", 4)
    assert items(bed, genome) == whole
    assert [item.sequence for _, item in whole[:2]] == [TWO[:20], ONE[:20]]
    for path, last, words in [
        (csv, f"{csv}:26", r"in\.csv:28: .*4 nt"),
        (str(tmp_path / "in.parquet"), None, "row 26"),
    ]:
        monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", 5)
        chunks = Source(path).chunks(FAMILIAR)
        found = [item for _, chunk in zip(range(5), chunks, strict=False) for item in chunk]
        assert [item.sequence for _, item in found] == sequences
        assert last in (None, found[-1][0])
        with pytest.raises(InputError, match=words):
            next(chunks)
    late = write(tmp_path / "late.bed", "chr1\t0\t20\n" * 9 + "chr9\t0\t20\n")
    with pytest.raises(InputError, match=r"late\.bed:10: no contig 'chr9'"):
        items(late, genome)

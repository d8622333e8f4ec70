"""R8: a corpus is its rows; how a genome's file is spelt and packed does not matter."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from genomics_fm.corpus.sources import Source
from tests.corpora import build, dna
from tests.genomes import block_gzip

CONTIGS = {"one": dna(3_000, 0) + "N" * 60 + dna(900, 1), "two": dna(2_000, 2)}


def fasta(width: int, end: str = "\n", spell: Callable[[str], str] = str.upper) -> bytes:
    lines = []
    for name, sequence in CONTIGS.items():
        lines.append(f">{name} a title")
        lines += [spell(sequence[start : start + width]) for start in range(0, len(sequence), width)]
    return (end.join(lines) + end).encode()


def two_members() -> bytes:
    text = fasta(60)
    return gzip.compress(text[:1_000]) + gzip.compress(text[1_000:])


ENCODINGS = {
    "lower case, one line": lambda: fasta(10**6, spell=str.lower),
    "CRLF": lambda: fasta(70, "\r\n"),
    "CR": lambda: fasta(61, "\r"),
    "gzip": lambda: gzip.compress(fasta(60)),
    "gzip of two members": two_members,
    "block gzip": lambda: block_gzip(fasta(60)),
    "xz": lambda: lzma.compress(fasta(80)),
    "zstd": lambda: pa.Codec("zstd").compress(fasta(50), asbytes=True),
    "RNA": lambda: fasta(60).replace(b"T", b"U"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return corpus_sha256(tmp_path_factory.mktemp("plain"), fasta(60))


def corpus_sha256(folder: Path, data: bytes) -> str:
    (folder / "genome").write_bytes(data)
    return build(folder / "corpus", [Source(str(folder / "genome"), "Fictus", "one")]).sha256


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_a_genome_give_one_corpus_hash(encoding: str, plain: str, tmp_path: Path) -> None:
    assert corpus_sha256(tmp_path, ENCODINGS[encoding]()) == plain


def test_another_letter_gives_another(plain: str, tmp_path: Path) -> None:
    text = bytearray(fasta(60))
    text[500] = ord("A") if text[500] != ord("A") else ord("C")
    assert corpus_sha256(tmp_path, bytes(text)) != plain

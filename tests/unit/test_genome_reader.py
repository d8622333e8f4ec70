"""One genome in many encodings is one genome; its streams are bounded and checked to their end."""

import gzip
import hashlib
import itertools
import lzma
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome import source
from genomics_fm.genome.reader import read_genome, stream_genome
from genomics_fm.genome.records import assembly_sum
from tests.genomes import block_gzip

CONTIGS = {"one": "ACGTN" * 700, "two": "GATTACA" * 51, "three": "TTGCA"}


def fasta(width: int = 60, end: str = "\n", change: Callable[[str], str] = str) -> bytes:
    def lines(text: str) -> str:
        return "".join(text[i : i + width] + end for i in range(0, len(text), width))

    return "".join(f">{name} made up{end}{lines(change(text))}" for name, text in CONTIGS.items()).encode()


def genbank() -> bytes:
    def record(name: str, text: str) -> str:
        lines = (f"{i + 1:9} {text[i : i + 60].lower()}\n" for i in range(0, len(text), 60))
        return f"LOCUS       {name} {len(text)} bp DNA\nORIGIN\n{''.join(lines)}//\n"

    return "".join(record(name, text) for name, text in CONTIGS.items()).encode()


def zstd(data: bytes) -> bytes:
    return pyarrow.compress(data, codec="zstd", asbytes=True)


ENCODINGS = {
    "plain": fasta(),
    "CRLF": fasta(end="\r\n"),
    "CR": fasta(end="\r"),
    "one line a contig": fasta(width=10_000),
    "lower case, three wide": fasta(width=3, change=str.lower),
    "RNA": fasta(change=lambda text: text.replace("T", "U")),
    "gzip": gzip.compress(fasta()),
    "gzip of two members": gzip.compress(fasta()[:1000]) + gzip.compress(fasta()[1000:]),
    "gzip, padded": gzip.compress(fasta()) + bytes(512),
    "block gzip": block_gzip(fasta()[:2000], fasta()[2000:]),
    "xz": lzma.compress(fasta()),
    "xz of two streams": lzma.compress(fasta()[:999]) + lzma.compress(fasta()[999:]),
    "zstd": zstd(fasta()),
    "zstd of two frames": zstd(fasta()[:999]) + zstd(fasta()[999:]),
    "GenBank": genbank(),
    "GenBank, xz": lzma.compress(genbank()),
}


def streamed(path: Path, data: bytes) -> list[tuple[str, int, str]]:
    path.write_bytes(data)
    found = []
    for contig in stream_genome(str(path)):
        contig.drain()
        found.append((contig.name, contig.length, contig.sha256))
    return found


@pytest.mark.parametrize("chunk_bytes", [source.CHUNK_BYTES, 7])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_genome_in_many_encodings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, chunk_bytes: int
) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", chunk_bytes)
    expected = [(name, len(text), hashlib.sha256(text.encode()).hexdigest()) for name, text in CONTIGS.items()]
    assert streamed(tmp_path / "x", ENCODINGS[encoding]) == expected


def test_the_assembly_sum_knows_no_order_and_no_files(tmp_path: Path) -> None:
    found = streamed(tmp_path / "x", ENCODINGS["plain"])
    sums = {assembly_sum(order).hexdigest() for order in itertools.permutations(found)}
    split = assembly_sum(found[:1])
    split.merge(assembly_sum(found[1:]))
    assert sums == {split.hexdigest()}
    by_hand = sum(int(hashlib.sha256("\t".join(map(str, contig)).encode()).hexdigest(), 16) for contig in found)
    assert split.hexdigest() == f"{by_hand % 2**256:064x}"
    name, length, sha256 = found[0]
    assert assembly_sum([(name + "x", length, sha256), *found[1:]]).hexdigest() not in sums


CUTS = [0.2, 0.5, 0.9, -9, -4, -1]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if "zip" in name or "xz" in name or "zstd" in name])
def test_cut_compressed_data_are_noticed(tmp_path: Path, encoding: str, cut: float) -> None:
    data = ENCODINGS[encoding].rstrip(b"\0") if "padded" in encoding else ENCODINGS[encoding]
    keep = int(len(data) * cut) if cut > 0 else len(data) + int(cut)
    if "padded" in encoding and cut == -1:
        keep -= 1  # its last byte is a zero of the length, which padding may stand for
    with pytest.raises(InputError, match=r"x:\d+: .*cut short.*; fetch|x:\d+: .*cut short, fetch"):
        streamed(tmp_path / "x", data[:keep])


@pytest.mark.parametrize("encoding", ["gzip", "block gzip", "xz"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, encoding: str) -> None:
    whole = ENCODINGS[encoding]
    for place in range(20, len(whole) - 20, 40):
        data = bytearray(whole)
        data[place] ^= 4
        with pytest.raises(InputError, match=r"x:\d+(:\d+)?: "):
            streamed(tmp_path / "x", bytes(data))


@pytest.mark.parametrize("garbage", [b"garbage", b">x\nACGT\n"])
@pytest.mark.parametrize("encoding", ["gzip", "block gzip", "xz", "zstd"])
def test_what_follows_compressed_data_is_not_passed_over(tmp_path: Path, encoding: str, garbage: bytes) -> None:
    with pytest.raises(InputError, match=r"damaged \w+ data|data are cut short"):
        streamed(tmp_path / "x", ENCODINGS[encoding] + garbage)


def test_letters_not_asked_for_are_still_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b">a\n" + b"ACGT\n" * 200_000 + b"AC!T\n>b\nAC\n")
    contigs = stream_genome(str(path))
    assert next(next(contigs).letters()).startswith(b"ACGT")
    with pytest.raises(InputError, match=r"x\.fa:200002:3: character '!'"):
        next(contigs)


def test_counts_and_letters_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CHUNK_BYTES", 5)
    path = tmp_path / "x.fa"
    path.write_bytes(b">a b\nACgtUN\nnRacgtaaaa\n>c\nA\n")
    contig = next(stream_genome(str(path)))
    assert b"".join(contig.letters()) == b"ACGTTNNNACGTAAAA"
    assert (contig.length, contig.soft_masked, contig.u_to_t, contig.iupac_to_n) == (16, 11, 1, 1)
    assert list(contig.letters()) == []
    assert contig.sha256 == hashlib.sha256(b"ACGTTNNNACGTAAAA").hexdigest()


@pytest.mark.parametrize("letter", [b"A", b">", b"\0", b"\n", b"L"])
def test_memory_does_not_grow_with_a_bomb(tmp_path: Path, letter: bytes) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    path = tmp_path / "x.fa.gz"
    head = b">a\n" if letter == b"A" else b""
    mebibyte = letter * (1 << 20)
    data = packed.compress(head) + b"".join(packed.compress(mebibyte) for _ in range(32)) + packed.flush()
    path.write_bytes(data)
    tracemalloc.start()
    try:
        found = streamed(path, data)
        assert (letter, found[0][1]) == (b"A", 32 << 20)
    except InputError as error:
        assert letter != b"A", error
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def test_whole_contigs_are_the_streams(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(ENCODINGS["xz"])
    contigs = list(read_genome(str(path)))
    assert {contig.name: contig.sequence for contig in contigs} == CONTIGS
    assert contigs[1].line == 61
    assert np.char.count(contigs[0].sequence, "N") == 700

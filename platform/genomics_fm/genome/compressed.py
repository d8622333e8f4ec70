"""Decompressing gzip (of several members, block gzip), xz and zstd as a stream: what is cut or damaged is noticed.

Memory stays the same however much comes out of a file. What no format can tell is a file cut exactly between two
whole members; block gzip has an end mark for that, which is asked for.
"""

import lzma
import zlib
from collections.abc import Iterator
from typing import IO

import pyarrow

READ_BYTES = 1 << 17
_GZIP_WBITS = 31  # zlib's number for "gzip header and checksum"
_XZ_MEMORY_BYTES = 256 << 20  # `xz -9` needs 65 MiB
_BLOCK_GZIP_HEAD_BYTES = 18  # SAM specification, 4.1
_EXTRA_FIELD = 4  # RFC 1952, flag FEXTRA
_TRUNCATED = "Truncated"  # how pyarrow says it


class Damaged(Exception):  # noqa: N818  (a state, told on as an InputError)
    """Compressed data that cannot be read to their end; the message says what is wrong and what to do."""


def kind(head: bytes) -> str:
    """`gzip`, `xz`, `zstd` or `` from the first bytes of a file."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    return "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else ""


def chunks(file: IO[bytes], how: str, size: int) -> Iterator[bytes]:
    """What a compressed file holds, in pieces of at most `size` bytes.

    Args:
        file: stands at its beginning.
        how: a `kind`.
        size: in bytes.

    Raises:
        Damaged: the data are cut short or damaged.
    """
    try:
        yield from {"gzip": _gzip, "xz": _xz, "zstd": _zstd}[how](file, size)
    except EOFError as error:
        raise Damaged(f"the {how} data are cut short; fetch the file again") from error
    except (zlib.error, lzma.LZMAError) as error:
        raise Damaged(f"damaged {how} data ({error}); fetch the file again") from error


def _gzip(file: IO[bytes], size: int) -> Iterator[bytes]:
    data = file.read(READ_BYTES)
    end_mark_due = False
    while data := _padding_skipped(file, data):
        if len(data) < _BLOCK_GZIP_HEAD_BYTES:
            data += file.read(READ_BYTES)
        is_block = data[12:14] == b"BC" and bool(data[3] & _EXTRA_FIELD)
        decoder, empty = zlib.decompressobj(_GZIP_WBITS), True
        while not decoder.eof:
            data = data or file.read(READ_BYTES)
            if not data:
                raise EOFError
            piece = decoder.decompress(data, size)
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if piece:
                empty = False
                yield piece
        end_mark_due = is_block and not empty  # the end mark is an empty block
    if end_mark_due:
        raise Damaged("block gzip without its end mark; the file is cut short, fetch it again")


def _xz(file: IO[bytes], size: int) -> Iterator[bytes]:
    data = file.read(READ_BYTES)
    while data := _padding_skipped(file, data):
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        while not decoder.eof:
            if decoder.needs_input:
                data = data or file.read(READ_BYTES)
                if not data:
                    raise EOFError
            piece = decoder.decompress(data, size)
            data = decoder.unused_data
            if piece:
                yield piece


def _padding_skipped(file: IO[bytes], data: bytes) -> bytes:
    """The next data that are not the zero bytes which may fill up a file between and after members."""
    while not (kept := data.lstrip(b"\0")):
        data = file.read(READ_BYTES)
        if not data:
            return b""
    return kept


def _zstd(file: IO[bytes], size: int) -> Iterator[bytes]:
    try:
        with pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd") as stream:
            while piece := stream.read(size):
                yield piece
    except OSError as error:
        if _TRUNCATED in str(error):
            raise EOFError from error
        raise Damaged(f"damaged zstd data ({error}); fetch the file again") from error

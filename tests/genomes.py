"""Encodings of genome files that the standard library does not write."""

import struct
import zlib

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzf_block(data: bytes) -> bytes:
    """One BGZF block, made by hand after the SAM specification, section 4.1."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def block_gzip(*blocks: bytes) -> bytes:
    """A BGZF file of these blocks, with its end mark."""
    return b"".join(map(bgzf_block, blocks)) + BGZF_END

"""Whether an index belongs to its file: htslib follows a stale one and gives part of the records without a word."""

import struct
import zlib
from pathlib import Path

import pysam

from genomics_fm.errors import InputError
from genomics_fm.genome import compressed

NEW_INDEX = "make it again with `bcftools index -f`"

_CHUNK_BYTES = 1 << 20
_TABIX, _CSI = b"TBI\1", b"CSI\1"
_BLOCK_BITS = 16  # of a virtual offset: the place inside a block; the rest is that of the block
_TABIX_COUNTS_BIN = 37_450  # SAM specification 5.2; holds numbers of records instead of places


def find(location: str) -> str:
    """The index beside a file; "" without one."""
    return next((name for name in (f"{location}.csi", f"{location}.tbi") if Path(name).is_file()), "")


def check_to_the_end(location: str, index: str) -> bool:
    """Make sure that an index reaches exactly to the end of its file.

    Args:
        location: block gzip.
        index: tabix or CSI.

    Returns:
        Whether it knows any record; if not, the file must have none.

    Raises:
        InputError: the index cannot be read, or is of another file.
    """
    try:
        end = _last_place(_decompressed(index))
    except (struct.error, compressed.Damaged, OSError) as error:
        raise InputError(f"{index}: the index cannot be read ({error}); {NEW_INDEX}") from error
    if end >> _BLOCK_BITS >= Path(location).stat().st_size:
        raise InputError(f"{index}: reaches beyond the end of {location}; {NEW_INDEX}")
    if end:
        pysam.set_verbosity(0)
        try:
            with pysam.BGZFile(location, "rb") as file:
                file.seek(end)
                left = file.read(1)
        except (OSError, zlib.error) as error:
            raise InputError(f"{index}: points outside {location} ({error}); {NEW_INDEX}") from error
        if left:
            raise InputError(f"{index}: ends before the last record of {location}; {NEW_INDEX}")
    return end > 0


def _decompressed(index: str) -> bytes:
    with Path(index).open("rb") as file:
        return b"".join(compressed.chunks(file, "gzip", _CHUNK_BYTES))


class _Walk:
    """Little-endian numbers read one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values


def _last_place(data: bytes) -> int:
    """The virtual offset behind the last record of an index; 0 when it has none.

    Raises:
        struct.error: it ends too early, or is no index.
    """
    walk = _Walk(data)
    if data.startswith(_TABIX):
        _, contigs, *_, names = walk.take("4s8i")
        walk.at += names
        counts_bin, head = _TABIX_COUNTS_BIN, "Ii"
    elif data.startswith(_CSI):
        _, _, depth, auxiliary = walk.take("4s3i")
        walk.at += auxiliary
        (contigs,) = walk.take("i")
        counts_bin, head = ((1 << 3 * (depth + 1)) - 1) // 7 + 1, "IQi"
    else:
        raise struct.error("neither tabix nor CSI")
    last = 0
    for _ in range(contigs):
        (bins,) = walk.take("i")
        for _ in range(bins):
            number, *_, chunks = walk.take(head)
            places = walk.take(f"{2 * chunks}Q")
            if number != counts_bin:
                last = max(last, *places[1::2], 0)
        if head == "Ii":
            (linear,) = walk.take("i")
            walk.take(f"{linear}Q")
    return last

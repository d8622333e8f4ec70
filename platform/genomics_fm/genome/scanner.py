"""A place in the text of a file, moved forward by the readers; it knows its line and column for every message."""

from collections.abc import Iterator

import numpy as np

from genomics_fm.errors import InputError
from genomics_fm.genome import alphabet, letters, source
from genomics_fm.genome.compressed import Damaged

END = -1
MAX_LINE_BYTES = 1 << 20
"""Longest line that is no sequence. A file without line ends must not fill the memory."""


class Scanner:
    """Reads a file once, from its beginning, in constant memory.

    Attributes:
        location: as messages name the file.
        line: number of the current line, from 1.
    """

    def __init__(self, location: str):
        self.location = location
        self.line = 1
        self._column = 0
        self._chunks = source.chunks(location)
        self._chunk = b""
        self._place = 0
        self._out = np.empty(0, np.uint8)

    def error(self, what: str, line: int = 0, column: int = 0) -> InputError:
        """An error about this file, at the current line when none is given; columns count from 1."""
        at = f":{column}" if column else ""
        return InputError(f"{self.location}:{line or self.line}{at}: {alphabet.clipped(what)}")

    def peek(self) -> int:
        """The next byte, not taken; END when there is none."""
        return self._chunk[self._place] if self._more() else END

    def _more(self) -> bool:
        """Whether a byte is left; reads the next chunk when this one is used up."""
        if self._place < len(self._chunk):
            return True
        try:
            self._chunk = next(self._chunks, b"")
        except Damaged as error:
            raise self.error(str(error)) from error
        self._place = 0
        if len(self._chunk) > len(self._out):
            self._out = np.empty(len(self._chunk), np.uint8)
        return bool(self._chunk)

    def skip_blank_lines(self) -> None:
        """Go on to the next line that is not empty; to be called at the beginning of a line."""
        while self.peek() == ord("\n"):
            left = len(self._chunk) - self._place
            blank = left - len(self._chunk[self._place :].lstrip(b"\n"))
            self._place += blank
            self.line += blank

    def read_line(self) -> bytes:
        """The rest of the line, without its end.

        Raises:
            InputError: it is longer than `MAX_LINE_BYTES`.
        """
        begun = self._place
        end = self._chunk.find(b"\n", begun)
        if end >= 0:
            self._place = end + 1
            text = self._chunk[begun:end]
        else:
            text = self._read_parts()
        self.line += 1
        self._column = 0
        return text

    def _read_parts(self) -> bytes:
        """A line that goes on in the next chunk."""
        parts: list[bytes] = []
        held = 0
        while self._more():
            end = self._chunk.find(b"\n", self._place)
            part = self._chunk[self._place : end if end >= 0 else len(self._chunk)]
            parts.append(part)
            held += len(part)
            if held > MAX_LINE_BYTES:
                raise self.error(f"a line of more than {MAX_LINE_BYTES:,} bytes; check that this is the right file")
            self._place += len(part) + 1
            if end >= 0:
                break
        return b"".join(parts)

    def text_line(self) -> str:
        """`read_line` as text: printable ASCII and tabs.

        Raises:
            InputError: as `read_line`, or another byte.
        """
        line = self.line
        return self.checked(self.read_line(), line)

    def checked(self, text: bytes, line: int) -> str:
        """The text of a line, refused when a byte of it is neither printable ASCII nor a tab."""
        if text.isascii() and (decoded := text.decode("ascii")).replace("\t", " ").isprintable():
            return decoded
        place, byte = next((i, b) for i, b in enumerate(text) if b > 126 or (b < 32 and b != ord("\t")))
        raise self.error(alphabet.describe(byte), line, place + 1)

    def letters(self, table: np.ndarray) -> Iterator[letters.Run]:
        """Normalised letters up to the next record or the end of the file, a run for each chunk.

        Args:
            table: from `letters.table`.

        Raises:
            InputError: a byte the table refuses, with line and column.
        """
        while self._more():
            state = np.zeros(len(letters.STATE), np.int64)
            state[letters.COLUMN] = self._column
            data = np.frombuffer(self._chunk, np.uint8, offset=self._place)
            self._place += letters.clean(data, table, self._out, state)
            written, lines, self._column, soft_masked, u_to_t, iupac_to_n, refused, *_ = state.tolist()
            self.line += lines
            if written:
                yield letters.Run(self._out[:written].tobytes(), soft_masked, u_to_t, iupac_to_n)
            if refused:
                raise self.error(alphabet.describe(self._chunk[self._place]), column=self._column + 1)
            if self._place < len(self._chunk):
                return

"""GenBank feature locations (`complement(join(<1..90,120..>300))`) to 0-based half-open segments."""

import re

_SPAN = re.compile(r"[<>]?(\d+)(?:\.\.[<>]?(\d+))?")
_BETWEEN = re.compile(r"(\d+)\^(\d+)")
_OPERATOR = re.compile(r"(complement|join|order)\((.*)\)")
_DEEPEST = 8  # operators in operators; GenBank itself nests two


def parse(text: str, length: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Segments and strand of a location written without blanks.

    Partial ends (`<`, `>`) are read as if they were complete; a site between two bases (`5^6`) is an empty
    segment; `order` is read like `join`.

    Args:
        text: the location.
        length: of the contig, in bases; 1-based positions must lie in 1 … length.

    Returns:
        (segments as `records.Feature` orders them, +1 or -1).

    Raises:
        ValueError: what is wrong, without file and line.
    """
    parts = _transcribed(text, length)
    strand = parts[0][2]
    ordered = parts if strand > 0 else parts[::-1]
    return tuple((start, end) for start, end, _ in ordered), strand


def _transcribed(text: str, length: int, depth: int = 0) -> list[tuple[int, int, int]]:
    """(start, end, strand) of each segment, in the order of transcription."""
    if span := _SPAN.fullmatch(text):
        first, last = int(span[1]), int(span[2] or span[1])
        if not 1 <= first <= last <= length:
            raise ValueError(f"location {text} does not lie in 1..{length}")
        return [(first - 1, last, 1)]
    if between := _BETWEEN.fullmatch(text):
        first = int(between[1])
        if not 1 <= first <= length:
            raise ValueError(f"location {text} does not lie in 1..{length}")
        return [(first, first, 1)]
    operator = _OPERATOR.fullmatch(text)
    if not operator or depth == _DEEPEST:
        raise ValueError(f"location {text!r} is not understood (another record, or a typing error?)")
    if operator[1] == "complement":
        return [(start, end, -strand) for start, end, strand in _transcribed(operator[2], length, depth + 1)[::-1]]
    return [part for inner in _at_top_level(operator[2]) for part in _transcribed(inner, length, depth + 1)]


def _at_top_level(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    pieces, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            pieces.append(text[begin:place])
            begin = place + 1
    return [*pieces, text[begin:]]

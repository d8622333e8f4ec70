"""HTML that is escaped by construction: text is escaped unless it is `Html`, which only `tag` and `join` make."""

import html
import math
from collections.abc import Iterable, Sequence

VOID_TAGS = frozenset({"meta", "line", "rect", "circle", "path", "polyline", "polygon"})
ABSENT = "–"


class Html(str):
    """Markup that is already safe to put on the page."""

    __slots__ = ()


Child = Html | str | int | float | None


def tag(name: str, /, *children: Child, **attributes: str | int | float | None) -> Html:
    """Build one element.

    Args:
        name: the element's name.
        children: `Html` is put in as it is, everything else is escaped, None is left out.
        attributes: values are escaped; `class_` and `for_` lose their underscore, inner underscores become
            hyphens; None leaves the attribute out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID_TAGS and not children:
        return Html(f"<{name}{shown}/>" if name != "meta" else f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(str(child)) for child in children if child is not None
        )
    )


def svg_box(width: float, height: float, class_: str, label: str, *children: Child) -> Html:
    """An inline picture with its alternative text; it scales with its column."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        class_=class_,
        role="img",
        aria_label=label,
    )


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[Child]], numeric: Iterable[int] = ()) -> Html:
    """A table whose first column heads its rows, in a region that scrolls sideways on a narrow screen.

    Args:
        caption: said to screen readers and printed above the table.
        headers: one a column.
        rows: cells; a row of one cell is a heading over the rows that follow.
        numeric: the columns to align on the right.
    """
    right = frozenset(numeric)
    kinds = ["n" if column in right else None for column in range(len(headers))]
    head = tag("tr", *(tag("th", name, scope="col", class_=kind) for name, kind in zip(headers, kinds, strict=True)))
    body = []
    for row in rows:
        if len(row) == 1:
            body.append(tag("tr", tag("th", row[0], colspan=len(headers), scope="rowgroup", class_="group")))
            continue
        first = tag("th", row[0], scope="row")
        rest = [tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)]
        body.append(tag("tr", first, *rest))
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", role="region", aria_label=caption, tabindex=0)


def finite(value: object) -> float | None:
    """The number, or None for what is absent, not a number, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: object, digits: int = 3, signed: bool = False) -> str:
    """A score as people read it: a true minus sign, a dash for what is absent."""
    known = finite(value)
    if known is None:
        return ABSENT
    rounded = round(known, digits) + 0.0  # no "-0.000"
    sign = "+" if signed and rounded > 0 else ""
    return f"{sign}{rounded:.{digits}f}".replace("-", "−")


def count(value: object) -> str:
    known = finite(value)
    return ABSENT if known is None else f"{known:,.0f}"


def percent(share: object, digits: int = 1) -> str:
    """A share as per cent; one that is not 0 is not shown as 0."""
    known = finite(share)
    if known is None:
        return ABSENT
    shown = f"{100 * known:.{digits}f}"
    least = f"{10.0**-digits:.{digits}f}"
    return f"< {least}\u00a0%" if known > 0 and float(shown) == 0 else f"{shown}\u00a0%"


def interval_of(entry: dict) -> tuple[float, float] | None:
    """The (low, high) of an entry's `interval`, or None when it has none."""
    ends = entry.get("interval")
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    low, high = finite(ends[0]), finite(ends[1])
    return None if low is None or high is None else (low, high)


def interval(entry: dict, signed: bool = False) -> str:
    ends = interval_of(entry)
    if ends is None:
        return ABSENT
    return f"{number(ends[0], signed=signed)} to {number(ends[1], signed=signed)}"


def duration(seconds: object) -> str:
    known = finite(seconds)
    if known is None:
        return ABSENT
    if known < 60:
        return f"{known:.1f} s"
    minutes, rest = divmod(round(known), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def rate(value: object) -> str:
    """A learning rate, short: 0.0003 -> 3e-4."""
    known = finite(value)
    if known is None:
        return ABSENT
    mantissa, exponent = f"{known:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")

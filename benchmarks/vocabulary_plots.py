"""The plots of `benchmarks.vocabulary_figures`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

if TYPE_CHECKING:
    from benchmarks.vocabulary_figures import NCost

BLUE, ORANGE, GREEN, PURPLE, INK, SOFT, LINE = (
    "#0068a8", "#c24e00", "#00795a", "#94377a", "#1b1f24", "#55606b", "#dde1e6",
)  # fmt: skip
PNG_DPI = 150
LABEL_SHIFTS = {6: 4, 7: -4}
"""Points by which names of lines that end close together are moved apart."""
PUBLISHED = (4_096, 928)
"""Size of the published BPE, and how many of its pieces are 6-mers (SPEC B3)."""


def _axes(figure: Figure, place: int | tuple[int, int, int], title: str, x: str, y: str = "") -> Axes:
    axes = figure.add_subplot(place) if isinstance(place, int) else figure.add_subplot(*place)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(x, fontsize=9, color=SOFT)
    axes.set_ylabel(y, fontsize=9, color=SOFT)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=SOFT, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(SOFT)
    return axes


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=PNG_DPI, facecolor="white")


def nt_per_token(rows: dict[str, tuple[float, list[float]]], path: Path) -> None:
    """A row a species, by GC: dots for three sizes, a cross for the vocabulary trained on one species alone."""
    figure = Figure(figsize=(8.6, 7.2), layout="constrained")
    axes = _axes(figure, 111, "Nucleotides a BPE token, by species", "nucleotides a token")
    heights = list(range(len(rows)))
    values = [row for _, row in rows.values()]
    for y, row in zip(heights, values, strict=True):
        axes.plot([min(row), max(row)], [y, y], color=LINE, linewidth=2, zorder=1)
    looks = ((0, "o", "#8fbfe0", "BPE-1,024"), (1, "o", BLUE, "BPE-4,096"), (2, "o", INK, "BPE-16,384"))
    for column, marker, colour, label in looks:
        axes.scatter([row[column] for row in values], heights, s=42, marker=marker, color=colour, label=label, zorder=3)
    alone = [row[-1] for row in values]
    axes.scatter(alone, heights, s=46, marker="x", color=ORANGE, linewidth=1.8, label="4,096, yeast alone", zorder=4)
    axes.set_yticks(heights, [f"{name}  {gc:.0%} GC" for name, (gc, _) in rows.items()], color=INK)
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.08), ncols=4, frameon=False, fontsize=8.5)
    _save(figure, path)


def shared_pieces(counts: dict[int, list[int]], words: Sequence[int], path: Path) -> None:
    """Left: shares of all k-mers that are pieces; right: what a row for each string once saves."""
    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    left = _axes(figure, (1, 2, 1), "k-mers that are BPE pieces", "BPE size", "share of all k-mers")
    sizes = list(counts)
    for number, (k, colour) in enumerate(zip(words, (SOFT, GREEN, PURPLE, ORANGE, BLUE), strict=True)):
        line = [counts[size][number] / 4**k for size in sizes]
        left.plot(sizes, line, color=colour, marker="o", markersize=4, linewidth=1.8)
        left.annotate(f"{k}-mers", (sizes[-1], line[-1]), xytext=(6, LABEL_SHIFTS.get(k, 0)),
                      textcoords="offset points", fontsize=8.5, color=colour, va="center")  # fmt: skip
    left.scatter(PUBLISHED[0], PUBLISHED[1] / 4**6, s=70, facecolor="none", edgecolor=ORANGE, zorder=4)
    left.annotate(f"published: {PUBLISHED[1]:,}", (PUBLISHED[0], PUBLISHED[1] / 4**6), xytext=(0, 17),
                  textcoords="offset points", fontsize=8, color=ORANGE, ha="center", va="center")  # fmt: skip
    left.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    right = _axes(figure, (1, 2, 2), "Rows of BPE + 6-mers", "BPE size", "rows of the table of embeddings")
    six = list(words).index(6)
    apart, union = ([size + 2 + 4**6 - shared * counts[size][six] for size in sizes] for shared in (0, 1))
    right.plot(sizes, apart, color=SOFT, linestyle="--", linewidth=1.6, label="each for itself")
    right.plot(sizes, union, color=BLUE, marker="o", markersize=4, linewidth=1.8, label="one row a string")
    right.legend(frameon=False, fontsize=8.5)
    right.yaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{rows:,.0f}"))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        axes.xaxis.set_minor_locator(NullLocator())
    right.set_xlim(sizes[0] * 0.85, sizes[-1] * 1.3)
    left.set_xlim(sizes[0] * 0.85, sizes[-1] * 2.4)
    _save(figure, path)


def n_costs(costs: dict[str, list["NCost"]], path: Path) -> None:
    """Against the share of N, by vocabulary: share of [UNK], nucleotides a token, bases lost beside the N."""
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    panels = (
        ("Tokens that are [UNK]", [(c, lambda cost: 100 * cost.unknown_tokens) for c in costs], "per cent of tokens"),
        ("Nucleotides a token", [(c, lambda cost: cost.nt_per_token) for c in costs], "nucleotides"),
        ("Bases lost beside the N", [(c, lambda cost: 100 * cost.lost_bases) for c in costs], "per cent of bases"),
    )
    for number, (title, lines, unit) in enumerate(panels):
        axes = _axes(figure, (1, 3, number + 1), title, "N, per cent of letters (log)", unit)
        for (name, value), colour, style in zip(lines, (BLUE, ORANGE, SOFT), ("o-", "s-", "^--"), strict=True):
            points = [(100 * cost.rate, value(cost)) for cost in costs[name] if cost.rate > 0]
            axes.plot(*zip(*points, strict=True), style, color=colour, markersize=4.5, linewidth=1.7, label=name)
        axes.set_xscale("log")
        axes.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        axes.set_ylim(bottom=0)
        if number == 0:
            axes.legend(frameon=False, fontsize=8.5)
    _save(figure, path)

"""The figure of docs/model.md: a packed row out of the loader, and what its tokens attend to.

`python -m benchmarks.model_figures CORPUS VOCABULARY [-o packed_row.png]`. The shading is not drawn from a formula: it
is what the encoder's own layout of attention makes of the row, with queries and keys of zero and the identity as
values, so that softmax shows the bias alone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle

from benchmarks.vocabulary_plots import BLUE, GREEN, INK, LINE, ORANGE, PNG_DPI, SOFT
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.model.attention import alibi_slopes, layout_of
from genomics_fm.pretraining.batches import Batches
from genomics_fm.pretraining.lane import Row
from genomics_fm.pretraining.masking import IGNORE_INDEX
from genomics_fm.pretraining.stream import StreamConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.special import MASK_ID

ROW_TOKENS, STEPS = 1_024, 60
FEWEST, MOST = 4, 6
"""Documents of a row that is worth looking at."""
HEADS, SHOWN_HEADS = 12, (3, 5, 7)
AROUND = 9
"""Tokens on each side of a border that are written out."""
FATES = {"[MASK]": BLUE, "another piece": ORANGE, "left as it is": GREEN}
TINTS = ("#eef1f4", "#d5dbe1")


def a_row(corpus: Corpus, vocabulary: Ensemble, name: str) -> Row:
    """The first row of a vocabulary that holds a few documents."""
    batches = Batches(corpus, vocabulary, StreamConfig(row_tokens=ROW_TOKENS), 8, 0, 1)
    for step in range(STEPS):
        for row in batches.rows(step):
            if row.vocabulary == name and FEWEST <= len(row.lengths) <= MOST:
                return row
    raise SystemExit(f"no row of {name} with {FEWEST} to {MOST} documents among {STEPS * 8}; take another corpus")


def fates(row: Row) -> dict[str, np.ndarray]:
    """Places of the tokens to predict, by what is shown there."""
    asked_N = row.labels_N != IGNORE_INDEX
    masked_N, same_N = row.ids_N == MASK_ID, row.ids_N == row.labels_N
    shown = (asked_N & masked_N, asked_N & ~masked_N & ~same_N, asked_N & same_N)
    return {fate: np.flatnonzero(where_N) for fate, where_N in zip(FATES, shown, strict=True)}


def weights(lengths: list[int], slope: float) -> np.ndarray:
    """How much a token of the row attends to each other, relative to itself, by position alone: (N, N)."""
    tokens = sum(lengths)
    layout = layout_of(lengths, torch.tensor([slope]), torch.device("cpu"), torch.float32)
    value_PN = layout.enter(torch.eye(tokens))
    zero_PN = torch.zeros_like(value_PN)
    attended_PN = layout.attend(torch.stack([zero_PN, zero_PN, value_PN], 1)[:, :, None])
    weight_NN = layout.leave(attended_PN).numpy()
    return weight_NN / np.diag(weight_NN)[:, None]


def draw_strip(axes: Axes, row: Row, prompt: str) -> None:
    """A row as a band: its documents, and which tokens are to be predicted."""
    starts = np.cumsum([0, *row.lengths])
    for number, (start, length) in enumerate(zip(starts, row.lengths, strict=False)):
        axes.add_patch(Rectangle((start, 0), length, 1, facecolor=TINTS[number % 2], edgecolor="none"))
        words = f"{length} tokens" if length > 60 else str(length)
        axes.text(start + length / 2, 1.18, words, ha="center", va="bottom", fontsize=8, color=SOFT)
        axes.plot([start, start], [-0.12, 1.12], color=INK, linewidth=1.4)
    for fate, places in fates(row).items():
        axes.bar(places, 1, 1, align="edge", color=FATES[fate])
    axes.plot([starts[-1]] * 2, [-0.12, 1.12], color=INK, linewidth=1.4)
    slots = f"{int(starts[-1]):,} of {ROW_TOKENS:,} slots used"
    axes.set_title(f"A row of {prompt}: {len(row.lengths)} documents, {slots}", loc="left", fontsize=10,
                   fontweight="bold", color=INK, pad=16)  # fmt: skip
    axes.set(xlim=(-2, ROW_TOKENS + 2), ylim=(-0.15, 1.15), yticks=[])
    axes.tick_params(labelsize=8, colors=SOFT)
    axes.spines[:].set_visible(False)


def draw_border(axes: Axes, row: Row, vocabulary: Ensemble) -> None:
    """Tokens around the first border between two documents, written out."""
    border = row.lengths[0]
    colours = {place: FATES[fate] for fate, places in fates(row).items() for place in places.tolist()}
    x = 0.0
    for place in range(border - AROUND, border + AROUND):
        text = vocabulary.tokens[row.ids_N[place]]
        width = max(len(text), 2) * 0.62 + 0.5
        if place == border:
            axes.plot([x + 0.15] * 2, [-0.5, 1.5], color=INK, linewidth=1.8)
            x += 0.3
        colour = colours.get(place)
        axes.add_patch(Rectangle((x, 0), width - 0.12, 1, facecolor=colour or TINTS[place >= border], edgecolor=LINE))
        axes.text(x + width / 2 - 0.06, 0.5, text, ha="center", va="center", fontsize=7, family="monospace",
                  color="white" if colour else INK)  # fmt: skip
        if colour:
            label = vocabulary.tokens[row.labels_N[place]]
            axes.text(x + width / 2 - 0.06, -0.22, label, ha="center", va="top", fontsize=6.5, family="monospace",
                      color=colour)  # fmt: skip
        x += width
    axes.set(xlim=(0, x), ylim=(-0.8, 1.5))
    axes.set_title("Its first border; below, what is to be predicted", loc="left", fontsize=9, color=SOFT)
    axes.axis("off")


def draw_mask(axes: Axes, row: Row, head: int) -> AxesImage:
    """What a query (down) attends to (across) by position alone, in one head."""
    slope = float(alibi_slopes(HEADS)[head])
    weight_NN = weights(row.lengths, slope)
    colours = colormaps["Blues"].with_extremes(bad=TINTS[1])
    shown_NN = np.ma.masked_equal(weight_NN, 0)
    image = axes.imshow(shown_NN, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    axes.spines[:].set_visible(False)
    axes.set_title(f"head {head + 1} of {HEADS}, slope {slope:.3g}", loc="left", fontsize=9, color=INK)
    axes.tick_params(labelsize=7.5, colors=SOFT, length=2)
    axes.set_xlabel("key: token of the row", fontsize=8, color=SOFT)
    return image


def draw(rows: list[Row], vocabulary: Ensemble) -> Figure:
    """The whole figure: rows, the border in the first of them, and its attention in several heads."""
    figure = Figure(figsize=(10.4, 7.7), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.05, 1.08])
    strips = top.subplots(len(rows) + 1, 1, height_ratios=[1, 0.9, *[1] * (len(rows) - 1)])
    draw_border(strips[1], rows[0], vocabulary)
    for axes, row in zip([strips[0], *strips[2:]], rows, strict=True):
        draw_strip(axes, row, vocabulary.prompt(row.vocabulary))
    handles = [Patch(color=colour, label=f"to predict: {fate}") for fate, colour in FATES.items()]
    top.legend(handles=handles, loc="outside lower center", ncols=len(FATES), frameon=False, fontsize=8.5)
    panels = bottom.subplots(1, len(SHOWN_HEADS))
    for axes, head in zip(panels, SHOWN_HEADS, strict=True):
        image = draw_mask(axes, rows[0], head)
    bar = bottom.colorbar(image, ax=panels, shrink=0.75, aspect=30, pad=0.01)
    bar.set_label("weight beside a token's own", fontsize=8, color=SOFT)
    bar.ax.tick_params(labelsize=7.5, colors=SOFT, length=2)
    panels[0].set_ylabel("query", fontsize=8, color=SOFT)
    title = "What the tokens of the first row attend to, by position alone (grey: another document, no weight)"
    bottom.suptitle(title, fontsize=10, fontweight="bold", color=INK, x=0.01, ha="left")
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/packed_row.png"))
    given = parser.parse_args()
    corpus, vocabulary = Corpus(given.corpus), Ensemble.load(given.vocabulary)
    rows = [a_row(corpus, vocabulary, name) for name in vocabulary.names]
    draw(rows, vocabulary).savefig(given.output, dpi=PNG_DPI, facecolor="white")
    return 0


if __name__ == "__main__":
    sys.exit(main())

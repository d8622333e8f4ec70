"""How fast are documents masked, by each preset, beside the published rule written plainly in torch?

`python -m benchmarks.masking [--documents 4096] [--rounds 15]` prints a table of Markdown. Rates are content tokens a
second on one core, the best of some rounds in which both sides take turns, copying the ids included. Torch masks
batches of the published size, documents side by side as a matrix.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from genomics_fm.pretraining.mask_rates import measured
from genomics_fm.pretraining.masking import HEAD, IGNORE_INDEX, MASKING, TAIL, MaskingConfig, mask_many
from genomics_fm.randomness import bits, key
from genomics_fm.vocabulary.special import CLS_ID, MASK_ID, SEP_ID, SPECIAL_TOKENS

K = 6
KINDS = {"tokens side by side": (1, 485), "overlapping 6-mers": (K, 505)}
"""Tokens that cover a base, and content tokens of the longest segments: 2,300 nt of BPE, 510 nt of 6-mers."""
TORCH_DOCUMENTS = 192
PUBLISHED_RATE, BEFORE, AFTER = 0.15, 6, 7
MASKED, RANDOM_OF_REST = 0.8, 0.5
PROMPT_ID = len(SPECIAL_TOKENS)
PIECES_V = np.arange(PROMPT_ID + 1, PROMPT_ID + 1 + 4**K, dtype=np.int32)
LEAST_RATE = 100e6

Arrays = tuple[np.ndarray, np.ndarray]


def documents(count: int, tokens: int) -> np.ndarray:
    """(count, tokens + 3) ids of random pieces between CLS, a prompt and SEP."""
    shape = (count, HEAD + tokens + TAIL)
    ids_DT = PIECES_V[bits(key("documents"), shape[0] * shape[1]) % np.uint64(PIECES_V.size)].reshape(shape)
    ids_DT[:, 0], ids_DT[:, 1], ids_DT[:, -1] = CLS_ID, PROMPT_ID, SEP_ID
    return ids_DT


def by_torch(ids_BT: torch.Tensor, overlap: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The published rule: i.i.d. tokens, or i.i.d. centres widened to 14 tokens; every token its own fate."""
    special_BT = ids_BT <= PROMPT_ID
    rate = PUBLISHED_RATE / overlap
    chosen_BT = (torch.rand(ids_BT.shape) < rate) & ~special_BT
    if overlap > 1:
        centres_BT = chosen_BT.clone()
        for offset in range(1, BEFORE + 1):
            chosen_BT[:, :-offset] |= centres_BT[:, offset:]
        for offset in range(1, AFTER + 1):
            chosen_BT[:, offset:] |= centres_BT[:, :-offset]
        chosen_BT &= ~special_BT
    labels_BT = ids_BT.masked_fill(~chosen_BT, IGNORE_INDEX)
    masked_BT = (torch.rand(ids_BT.shape) < MASKED) & chosen_BT
    random_BT = (torch.rand(ids_BT.shape) < RANDOM_OF_REST) & chosen_BT & ~masked_BT
    shown_BT = ids_BT.masked_fill(masked_BT, MASK_ID)
    replacement_BT = torch.randint(int(PIECES_V[0]), int(PIECES_V[-1]) + 1, ids_BT.shape, dtype=ids_BT.dtype)
    return torch.where(random_BT, replacement_BT, shown_BT), labels_BT


def all_by_torch(ids_DT: torch.Tensor, overlap: int) -> Arrays:
    batches = [by_torch(ids_BT, overlap) for ids_BT in ids_DT.split(TORCH_DOCUMENTS)]
    shown, labels = zip(*batches, strict=True)
    return torch.cat(shown).numpy().ravel(), torch.cat(labels).numpy().ravel()


def ours(ids_DT: np.ndarray, overlap: int, config: MaskingConfig) -> Arrays:
    count, width = ids_DT.shape
    shown_N = ids_DT.flatten()
    offsets_D = np.arange(count + 1) * width
    return shown_N, mask_many(shown_N, offsets_D, bits(key("masks"), count), overlap, PIECES_V, config)


def seconds(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Best time of each, in turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return [min(found) for found in times]


def shares(made: Arrays, count: int, tokens: int, overlap: int) -> str:
    """Token and base rates as two cells; tokens side by side count as one base each."""
    start_C = np.tile(np.arange(tokens), count)
    offsets_D = np.arange(count + 1) * (HEAD + tokens + TAIL)
    rates = measured(*made, offsets_D, np.stack([start_C, start_C + overlap], axis=1))
    return f"{rates.token_rate:.2%} | {rates.base_rate:.2%}"


def rows(kind: str, count: int, rounds: int) -> list[float]:
    """Print a kind's rows; our rates in tokens a second."""
    overlap, tokens = KINDS[kind]
    ids_DT = documents(count, tokens)
    in_torch_DT = torch.from_numpy(ids_DT)
    works: dict[str, Callable[[], Arrays]] = {
        f"`{name}`": lambda config=config: ours(ids_DT, overlap, config)  # type: ignore[misc]
        for name, config in MASKING.items()
    }
    works["published rule, torch"] = lambda: all_by_torch(in_torch_DT, overlap)
    made = [work() for work in works.values()]
    rates = [count * tokens / best for best in seconds(list(works.values()), rounds)]
    for name, rate, result in zip(works, rates, made, strict=True):
        cells = f"{rate / 1e6:.0f} | {rate / rates[-1]:.1f} | {shares(result, count, tokens, overlap)}"
        print(f"| {kind} | {name} | {cells} |", flush=True)
    return rates[:-1]


def main() -> int:
    """Print the table; ends with 1 when a preset is slower than 100 M tokens a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=4_096)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started = time.perf_counter()
    ours(documents(1, 1), 1, MASKING["default"])
    print(f"First call, compiling or loading the kernel: {time.perf_counter() - started:.1f} s\n")
    print("| kind | rule | M tokens/s | × torch | tokens selected | bases hidden |")
    print("| --- | --- | --- | --- | --- | --- |")
    found = [rate for kind in KINDS for rate in rows(kind, arguments.documents, arguments.rounds)]
    return int(min(found) < LEAST_RATE)


if __name__ == "__main__":
    sys.exit(main())

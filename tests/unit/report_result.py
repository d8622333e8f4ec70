"""A made-up quickstart result with plausible numbers: what the page and its tests are tried on, measured by nobody."""

import math
import random
from typing import Any


def full() -> dict[str, Any]:
    """Every section present; the same on every call."""
    return {
        "format_version": 1,
        "preset": "quickstart",
        "name": "quickstart",
        "started": "2026-11-22T17:05:00+00:00",
        "seconds": 487.3,
        "machine": {"cores": 2, "memory_gib": 8.0, "python": "3.11.7", "torch": "2.13.0", "ray": "2.60.0"},
        "stages": stages(),
        "counts": counts(),
        "hashes": {
            name: f"{index:x}" * 64
            for index, name in enumerate(("corpus", "vocabulary", "encoder", "train", "validation", "test"), 10)
        },
        "vocabulary": {
            "size": 7266,
            "bpe_pieces": 4096,
            "shared_pieces": 941,
            "nt_per_token": {"bpe": {"forward": 4.91, "reverse": 4.90}, "kmer": {"forward": 1.0, "reverse": 1.0}},
        },
        "pretraining": pretraining(),
        "arms": arms(),
        "baselines": baselines(),
        "comparisons": [
            pair("pretrained bpe, 10%", "scratch bpe, 10%", 0.061, 0.028, 0.094),
            pair("pretrained kmer, 10%", "scratch kmer, 10%", 0.019, -0.014, 0.051),
            pair("pretrained bpe, 100%", "pretrained kmer, 100%", -0.044, -0.071, -0.017),
            pair("pretrained kmer, 100%", "6-mer logistic regression, 100% (same cap)", 0.039, 0.008, 0.068),
            pair("pretrained kmer, 100%", "six-frame open, 100% (same cap)", -0.136, -0.161, -0.112),
            pair("pretrained bpe, 100%", "CNN, 100% (same cap)", 0.039, -0.001, 0.077),
        ],
        "search": {
            "vocabulary": "bpe",
            "encoder": [[0.0003, 0.6412], [0.0007, 0.6135], [0.0029, 0.6871], [0.0011, 0.6208]],
            "cnn": [[0.0004, 0.6523], [0.0021, 0.5987]],
        },
        "champion": {
            "name": "yeast_coding",
            "version": "1",
            "champion_version": "1",
            "uri": "models:/yeast_coding@champion",
            "validation_mcc": 0.741,
            "test_mcc": 0.728,
            "promoted": True,
            "why": "first of its name, so there was no champion to beat",
            "head": "runs/quickstart/sweep-5e1d2c3b4a/kmer-pretrained-1-seed0",
        },
        "serving": {"url": "http://127.0.0.1:8000", "sequences": 128, "max_difference": 2.4e-7, "p50_ms": 11.6},
        "next_commands": [
            "./run quickstart --fasta your_genome.fa.gz",
            "./run job pretrain --preset tiny",
            "./run genomics-fm predict --head runs/quickstart/head your.fa -o predictions.parquet",
        ],
    }


def stages() -> list[dict[str, Any]]:
    rows = (
        ("corpus", 14.2, False, "runs/quickstart/corpus", "742 windows, 7.9 M nucleotides, 4 blocks"),
        ("vocabularies", 31.5, False, "runs/quickstart/vocabulary", "7,266 ids"),
        ("pretraining", 151.8, False, "runs/quickstart/pretraining", "600 steps, 2 workers"),
        ("task", 6.4, True, "runs/quickstart/task", "17,534 rows"),
        ("sweep", 216.0, False, "runs/quickstart/sweep", "8 trials"),
        ("registry", 9.1, False, "runs/quickstart/mlflow", "9 runs"),
        ("serve", 38.0, False, "", "128 sequences"),
    )
    return [
        {"name": n, "seconds": s, "skipped": k, "folder": f, "hash": f"{i:02x}" * 5, "summary": words}
        for i, (n, s, k, f, words) in enumerate(rows, 160)
    ]


def counts() -> list[dict[str, Any]]:
    rows: list[tuple[str, int, str]] = [
        ("corpus: contigs", 5, "held-out contig"),
        ("corpus: nt", 5_451_779, "held-out contig"),
        ("corpus: nt", 61, "piece shorter than minimum"),
        ("task, genome", 1, "organelle_contigs_left_out"),
    ]
    splits = {
        "train": (33093, 7904, 15495, 9694, 9694),
        "validation": (8687, 2045, 4438, 2204, 2204),
        "test": (18569, 4263, 8670, 5636, 5496),
    }
    names = ("windows", "neither", "dropped_to_balance", "rows_before_containment", "rows")
    for split, numbers in splits.items():
        rows += [(f"task, {split}", number, name) for number, name in zip(numbers, names, strict=True)]
    return [{"what": what, "count": number, "why": why} for what, number, why in rows]


def pretraining() -> dict[str, Any]:
    draw = random.Random(7)
    steps = list(range(1, 601))
    uniform = math.log(7266)
    curves = {
        name: [floor + (uniform - floor) * math.exp(-step / fall) + draw.gauss(0, noise) for step in steps]
        for name, floor, fall, noise in (("bpe", 7.05, 110, 0.09), ("kmer", 5.1, 150, 0.16))
    }
    return {
        "step": steps,
        "tokens": [step * 2700 for step in steps],
        "loss": curves,
        "uniform_loss": uniform,
        "resumed_at": [240],
        "tokens_per_second": 11840.0,
        "parameters": 1_532_416,
        "workers": 2,
    }


def arms() -> list[dict[str, Any]]:
    scores = {
        ("bpe", "pretrained"): (0.591, 0.684),
        ("bpe", "scratch"): (0.530, 0.652),
        ("kmer", "pretrained"): (0.604, 0.728),
        ("kmer", "scratch"): (0.585, 0.690),
    }
    return [
        {
            "vocabulary": vocabulary,
            "start": start,
            "fraction": fraction,
            "seed": 0,
            "labels_seen": seen,
            "updates": 240,
            "learning_rate": 0.0007,
            "validation_mcc": round(score + 0.013, 3),
            "test_mcc": score,
            "interval": [round(score - 0.024, 3), round(score + 0.023, 3)],
            "seconds": 21.7,
        }
        for (vocabulary, start), pair_ in scores.items()
        for fraction, seen, score in ((0.1, 600, pair_[0]), (1.0, 6000, pair_[1]))
    ]


def baselines() -> list[dict[str, Any]]:
    rows = (
        ("majority", 1.0, False, 9694, 0.0, 0.0),
        ("GC threshold", 0.1, False, 969, 0.27, 0.279),
        ("GC threshold", 1.0, False, 9694, 0.28, 0.281),
        ("GC threshold", 1.0, True, 6000, 0.28, 0.280),
        ("six-frame open", 1.0, False, 0, 0.871, 0.864),
        ("6-mer logistic regression", 0.1, False, 969, 0.651, 0.642),
        ("6-mer logistic regression", 0.1, True, 600, 0.624, 0.610),
        ("6-mer logistic regression", 1.0, False, 9694, 0.722, 0.703),
        ("6-mer logistic regression", 1.0, True, 6000, 0.697, 0.689),
        ("CNN", 0.1, False, 969, 0.51, 0.499),
        ("CNN", 0.1, True, 600, 0.46, 0.452),
        ("CNN", 1.0, False, 9694, 0.70, 0.687),
        ("CNN", 1.0, True, 6000, 0.66, 0.645),
    )
    return [
        {
            "name": name,
            "fraction": fraction,
            "capped": capped,
            "labels_seen": seen,
            "validation_mcc": validation,
            "test_mcc": test,
            "interval": [round(test - 0.021, 3), round(test + 0.02, 3)] if test else [0.0, 0.0],
        }
        for name, fraction, capped, seen, validation, test in rows
    ]


def pair(a: str, b: str, difference: float, low: float, high: float) -> dict[str, Any]:
    """A comparison as the sweep writes it."""
    p = 0.4 if low <= 0 <= high else 0.012
    sign = 0 if p > 0.05 else 1 if low > 0 else -1
    found = {"a": a, "b": b, "difference": difference, "interval": [low, high]}
    return found | {"p": p / 6, "p_adjusted": p, "blocks": 187, "sign": sign}

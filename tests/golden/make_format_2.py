"""Made once: heads of every kind in format 2, whose cards have a problem. Later versions must keep reading them.

`python -m tests.golden.make_format_2 FOLDER` writes them anew; never over the committed ones.
The folders of format 1 were made before, by code that no longer is.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import load_head, save_head
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier, new_token_classifier
from genomics_fm.tasks.calibration import Calibration
from genomics_fm.tasks.problem import Problem
from tests.corpora import dna, fixed_vocabulary
from tests.heads import rows_of

SEQUENCES = [dna(length, length) for length in (30, 61, 200)]
PROBLEMS = {
    "classes": Problem("classification", ("exon", "intron", "other"), stranded=True),
    "labels": Problem("multilabel", ("open", "bound")),
    "numbers": Problem("regression", ("slope", "height")),
    "bases": Problem("per-base", ("out", "in")),
}


def calibration_of(problem: Problem) -> Calibration | None:
    shares = (0.25,) * problem.outputs
    match problem.kind:
        case "classification":
            return Calibration(problem, 200, (0.5, 0.3, 0.2), temperature=1.5, radius=(0.7,))
        case "multilabel":
            return Calibration(problem, 200, shares, (3.0, 1.0), platt=((1.2, -0.1), (0.8, 0.2)))
        case "regression":
            return Calibration(problem, 200, (0.5, 0.5), radius=(0.1, 0.2))
    return None


def main(folder: Path) -> None:
    vocabulary = fixed_vocabulary()
    shape = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=8, heads=2, ffn_width=12)
    expected = {}
    for name, problem in PROBLEMS.items():
        calibration, dense = calibration_of(problem), name != "numbers"
        if problem.kind == "per-base":
            module = new_token_classifier(shape, problem.outputs, 0)
        else:
            module = new_classifier(shape, problem.outputs, 0, dense=dense)
        with torch.no_grad():
            module.classifier.weight *= 40
        card = HeadCard(
            task=f"golden_{name}", problem=problem, vocabulary="kmer", encoder=dataclasses.asdict(shape),
            length_bp=(30, 61), prevalence=calibration.prevalence if calibration else (0.5, 0.5), dense=dense,
            gc=(0.2, 0.8), weights=calibration.weights if calibration else None, calibration=calibration,
            hashes={"validation": "a" * 64},
        )  # fmt: skip
        rows = rows_of(problem)
        few = dataclasses.replace(rows, locus=rows.locus[:9], block=rows.block[:9], labels=rows.labels[:9],
                                  predictions=rows.predictions[:9])  # fmt: skip
        save_head(folder / name, module, card, vocabulary, few)
        found = load_head(folder / name).predict(SEQUENCES)
        expected[name] = [np.asarray(one.values).round(7).tolist() for one in found]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

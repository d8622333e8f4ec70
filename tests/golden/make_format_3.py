"""Made once: heads in format 3, whose labels are said from thresholds of what they answer. Later versions must keep
reading them, and saying the same.

`python -m tests.golden.make_format_3 FOLDER` writes them anew; never over the committed ones.
The folders of formats 1 and 2 were made before, by code that no longer is.
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
from genomics_fm.model.heads import new_classifier
from genomics_fm.tasks.calibration import Calibration
from genomics_fm.tasks.problem import Problem
from tests.corpora import dna, fixed_vocabulary
from tests.heads import rows_of

SEQUENCES = [dna(length, length) for length in (30, 40, 61, 80, 120, 200)]
TWO = Problem("classification", ("no", "yes"))
LABELS = Problem("multilabel", ("open", "bound"))
CALIBRATIONS = {
    "two": Calibration(TWO, 200, (0.7, 0.3), (1.0, 2.0), temperature=0.8, radius=(0.7,)),
    "labels": Calibration(LABELS, 200, (0.25, 0.25), (3.0, 1.0), platt=((1.2, -0.1), (0.8, 0.2))),
}


def main(folder: Path) -> None:
    vocabulary = fixed_vocabulary()
    shape = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=8, heads=2, ffn_width=12)
    expected = {}
    for name, calibration in CALIBRATIONS.items():
        problem = calibration.problem
        module = new_classifier(shape, problem.outputs, 0)
        with torch.no_grad():
            module.classifier.weight *= 40
        card = HeadCard(
            task=f"golden_{name}", problem=problem, vocabulary="kmer", encoder=dataclasses.asdict(shape),
            length_bp=(30, 61), prevalence=calibration.prevalence, weights=calibration.weights,
            calibration=calibration, hashes={"validation": "a" * 64},
        )  # fmt: skip
        rows = rows_of(problem)
        few = dataclasses.replace(rows, locus=rows.locus[:9], block=rows.block[:9], labels=rows.labels[:9],
                                  predictions=rows.predictions[:9])  # fmt: skip
        save_head(folder / name, module, card, vocabulary, few)
        answers = np.sort(np.array([one.values for one in load_head(folder / name).predict(SEQUENCES)], float), axis=0)
        middle = (answers[2] + answers[3]) / 2  # half of the sequences are above it
        limits = tuple(middle[1:].round(4).tolist() if problem.binary else middle.round(4).tolist())
        save_head(folder / name, module, dataclasses.replace(card, thresholds=limits), vocabulary, few)
        found = load_head(folder / name).predict(SEQUENCES)
        expected[name] = [
            {"values": one.values.round(7).tolist(), "labels": [one.label] if one.label else list(one.labels or ())}
            for one in found
        ]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

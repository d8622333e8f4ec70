"""Made once, with version 0.1.0: one folder of each artefact in format 1. Later versions must keep reading them.

`python -m tests.golden.make_format_1 FOLDER` writes them anew; never over the committed ones.
"""

import json
import sys
from pathlib import Path

import numpy as np

from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.head import load_head, save_head
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier
from genomics_fm.tasks import rows
from genomics_fm.tasks.rows import Rows
from genomics_fm.training.config import TrainingConfig
from genomics_fm.training.loop import pretrain
from genomics_fm.training.optimizer import OptimizerConfig
from tests.corpora import dna, fixed_vocabulary, small_corpus, streams

SEQUENCES = [dna(length, length) for length in (30, 61, 200)]
TRAINING = TrainingConfig(
    steps=4,
    batch_rows=2,
    checkpoint_steps=2,
    keep_checkpoints=1,
    encoder=EncoderConfig(layers=1, width=8, heads=2, ffn_width=12),
    stream=streams(),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=2),
)


def main(folder: Path) -> None:
    corpus = small_corpus(folder / "corpus", windows=5)
    vocabulary = fixed_vocabulary()
    vocabulary.save(folder / "vocabulary.json")
    encoder = folder / "encoder"
    pretrain(TRAINING, corpus.folder, folder / "vocabulary.json", encoder, lambda line: None)
    labelled = Rows(SEQUENCES, np.array([0, 1, 1]), ["I:0-30:+", "I:40-101:-", "I:200-400:+"], np.array([0, 0, 1]))
    rows.write(folder / "rows.parquet", labelled)
    shape = EncoderConfig(vocabulary_size=vocabulary.size, layers=1, width=8, heads=2, ffn_width=12)
    card = HeadCard(
        task="golden", labels=("no", "yes"), vocabulary="kmer", input_length_bp=61, stranded=False, pooling="mean",
        encoder=vars(shape), prevalence=0.5, hashes={"validation": labelled.sha256},
    )  # fmt: skip
    columns = {
        "locus": labelled.locus,
        "block": labelled.block,
        "label": labelled.labels,
        "probability": [0.1, 0.8, 0.6],
    }
    save_head(folder / "head", new_classifier(shape, 2, seed=0), card, vocabulary, columns)
    expected = {
        "corpus_sha256": corpus.sha256,
        "first_window": corpus.window(0).sequence[:40],
        "vocabulary_sha256": vocabulary.sha256,
        "rows_sha256": labelled.sha256,
        "probabilities": [p.probability for p in load_head(folder / "head").predict(SEQUENCES)],
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

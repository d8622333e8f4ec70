"""Train the ensemble vocabulary on a corpus: `python -m jobs.train_vocabulary --corpus DIR`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import Sample, sample
from genomics_fm.errors import InputError, require
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import launch, vocabulary_members
from jobs.progress import Clock, rate, say, watched
from jobs.vocabulary_members import Training

STRAND_GAP = 0.005
"""R13: nucleotides a token of the two strands agree to this share."""


@dataclass(frozen=True)
class TrainVocabularyConfig:
    """An ensemble; by default of BPE and overlapping k-mers."""

    corpus: str = field(default="", metadata={"help": "folder of a finished corpus"})
    output: str = field(default="", metadata={"help": "JSON file to write; default: vocabulary.json in the corpus"})
    members: tuple[str, ...] = field(
        default=("bpe", "kmer"),
        metadata={"help": "vocabularies, [NAME=]KIND[:NUMBER]: bpe, bpe:1024, kmer:3, block:4, codon:0, single"},
    )
    bpe_size: int = field(default=4096, metadata={"help": "of a BPE without a number, five special tokens included"})
    kmer: int = field(default=6, metadata={"help": "k of overlapping k-mers without a number"})
    sample_nt: int = field(default=3_000_000, metadata={"help": "nucleotides to train BPE on, before both strands"})
    sample_nt_per_species: int = field(default=3_000_000, metadata={"help": "of which from one species at most"})
    seed: int = field(default=0, metadata={"help": "of the sample"})

    def __post_init__(self) -> None:
        for name in ("sample_nt", "sample_nt_per_species"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


def _tokens(ensemble: Ensemble, name: str, texts: Sequence[str]) -> int:
    letters = np.frombuffer("".join(texts).encode("ascii"), np.uint8)
    return ensemble.encode_many(name, letters, np.cumsum([0, *map(len, texts)]))[0].size


def _nt_per_token(ensemble: Ensemble, drawn: Sample) -> dict[str, dict[str, float]]:
    """Nucleotides a token on the sample, forward and reverse complement, for each vocabulary."""
    strands = {"forward": drawn.forward, "reverse": drawn.reverse}
    return {
        name: {
            strand: round(drawn.nucleotides / max(_tokens(ensemble, name, texts), 1), 4)
            for strand, texts in strands.items()
        }
        for name in ensemble.names
    }


def _train(config: dict[str, Any], output: str) -> Iterator[Training | dict[str, Any]]:
    """Runs on a worker: sample, train, save. Yields how far it is, and last what it made."""
    settings = TrainVocabularyConfig(**config)
    corpus = Corpus(Path(settings.corpus))
    drawn = sample(corpus, settings.sample_nt, settings.sample_nt_per_species, settings.seed)
    training = {
        "corpus_sha256": corpus.sha256,
        "sample_sha256": drawn.sha256,
        "sample_nucleotides": drawn.nucleotides,
        "strands": "both",
    }
    plan = vocabulary_members.planned(settings.members, settings.bpe_size, settings.kmer)
    members = yield from vocabulary_members.train(plan, drawn.forward + drawn.reverse)
    ensemble = Ensemble(members, training)
    ensemble.save(Path(output))
    pieces = {name: len(member.pieces) for name, member in ensemble.members.items()}
    yield {
        "path": output,
        "sha256": ensemble.sha256,
        "size": ensemble.size,
        "pieces": pieces,
        "bpe_pieces": pieces.get("bpe"),
        "shared_pieces": ensemble.shared_pieces(),
        "sample_nucleotides": drawn.nucleotides,
        "nt_per_token": _nt_per_token(ensemble, drawn),
        "nodes": [launch.node_id()],
    }


def _watch(steps: Iterator[Training | dict[str, Any]]) -> dict[str, Any]:
    """Print how far a training is until its last step, which is its result."""
    newest: list[Training] = []
    result: dict[str, Any] = {}
    with watched(lambda: str(newest[-1]) if newest else None):
        for step in steps:
            if isinstance(step, Training):
                newest[:] = [step]
            else:
                result = step
    return result


def run(config: TrainVocabularyConfig, output: Path | None = None) -> dict[str, Any]:
    """Train and save the ensemble.

    Returns:
        `path`, `sha256`, `size`, `pieces` by vocabulary, `bpe_pieces`, `shared_pieces`, `sample_nucleotides`,
        `nt_per_token`, `nodes`.
    """
    if not config.corpus:
        raise InputError("--corpus: no corpus given; build one with `python -m jobs.build_corpus`")
    vocabulary_members.planned(config.members, config.bpe_size, config.kmer)
    corpus = Corpus(Path(config.corpus))
    path = output or Path(config.output or corpus.folder / FILE_NAME)
    clock = Clock()
    nucleotides = 2 * min(config.sample_nt, corpus.nucleotides)
    say(f"[vocabulary] {', '.join(config.members)} on up to {nucleotides:,} nt of both strands")
    with launch.connect():
        import ray

        task = ray.remote(_train).options(num_cpus=1, num_returns="streaming")
        result = _watch(map(ray.get, task.remote(asdict(config), str(path.absolute()))))
    say(f"[vocabulary] {result['size']:,} tokens: {rate(2 * result['sample_nucleotides'], clock.seconds, 'nt')}")
    return result


def _run_and_print(config: TrainVocabularyConfig) -> None:
    result = run(config)
    for name, strands in result["nt_per_token"].items():
        forward, reverse = strands["forward"], strands["reverse"]
        gap = abs(forward - reverse) / forward
        words = f"{gap:.2%} apart" + ("" if gap <= STRAND_GAP else f", more than the {STRAND_GAP:.1%} we want")
        print(f"{name:8s} {forward:.3f} nt a token forward, {reverse:.3f} reverse complement: {words}")
    print(f"{result['size']:,} tokens ({result['shared_pieces']:,} shared) in {result['path']}")


PRESETS = {
    "default": TrainVocabularyConfig(),
    "smoke": TrainVocabularyConfig(bpe_size=512, sample_nt=100_000, sample_nt_per_species=100_000),
}


def main() -> None:
    """The command line."""
    launch.main(PRESETS, _run_and_print, "python -m jobs.train_vocabulary", "Train the vocabularies of an ensemble.")


if __name__ == "__main__":
    from jobs.train_vocabulary import main  # by its own name, so that workers can import what they are sent

    main()

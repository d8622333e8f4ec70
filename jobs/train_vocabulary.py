"""Train the ensemble vocabulary on a corpus: `python -m jobs.train_vocabulary --corpus DIR`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import Sample, sample
from genomics_fm.errors import InputError
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import SPECIAL_TOKENS
from jobs import launch
from jobs.progress import Clock, rate, say


@dataclass(frozen=True)
class TrainVocabularyConfig:
    """An ensemble of BPE and overlapping k-mers."""

    corpus: str = field(default="", metadata={"help": "folder of a finished corpus"})
    output: str = field(default="", metadata={"help": "JSON file to write; default: vocabulary.json in the corpus"})
    bpe_size: int = field(default=4096, metadata={"help": "BPE vocabulary size, five special tokens included"})
    kmer: int = field(default=6, metadata={"help": "k of the overlapping k-mers"})
    sample_nt: int = field(default=3_000_000, metadata={"help": "nucleotides to train BPE on, before both strands"})
    sample_nt_per_species: int = field(default=3_000_000, metadata={"help": "of which from one species at most"})
    seed: int = field(default=0, metadata={"help": "of the sample"})


def _nt_per_token(ensemble: Ensemble, drawn: Sample) -> dict[str, dict[str, float]]:
    """Nucleotides a token on the sample, forward and reverse complement, for each vocabulary."""
    strands = {"forward": drawn.forward, "reverse": drawn.reverse}
    return {
        name: {
            strand: round(drawn.nucleotides / max(sum(len(ensemble.encode(name, text)) for text in texts), 1), 4)
            for strand, texts in strands.items()
        }
        for name in ensemble.names
    }


def _train(config: dict[str, Any], output: str) -> dict[str, Any]:
    """Runs on a worker: sample, train, save."""
    settings = TrainVocabularyConfig(**config)
    corpus = Corpus(Path(settings.corpus))
    drawn = sample(corpus, settings.sample_nt, settings.sample_nt_per_species, settings.seed)
    bpe = BpeVocabulary.train(drawn.forward + drawn.reverse, settings.bpe_size - len(SPECIAL_TOKENS))
    members: dict[str, Member] = {"bpe": bpe, "kmer": KmerVocabulary(settings.kmer)}
    training = {
        "corpus_sha256": corpus.sha256,
        "sample_sha256": drawn.sha256,
        "sample_nucleotides": drawn.nucleotides,
        "strands": "both",
    }
    ensemble = Ensemble(members, training)
    ensemble.save(Path(output))
    return {
        "path": output,
        "sha256": ensemble.sha256,
        "size": ensemble.size,
        "bpe_pieces": len(bpe.pieces),
        "shared_pieces": ensemble.shared_pieces(),
        "sample_nucleotides": drawn.nucleotides,
        "nt_per_token": _nt_per_token(ensemble, drawn),
        "nodes": [launch.node_id()],
    }


def run(config: TrainVocabularyConfig, output: Path | None = None) -> dict[str, Any]:
    """Train and save the ensemble.

    Returns:
        `path`, `sha256`, `size`, `bpe_pieces`, `shared_pieces`, `sample_nucleotides`, `nt_per_token`, `nodes`.
    """
    if not config.corpus:
        raise InputError("--corpus: no corpus given; build one with `python -m jobs.build_corpus`")
    corpus = Corpus(Path(config.corpus))
    path = output or Path(config.output or corpus.folder / "vocabulary.json")
    clock = Clock()
    nucleotides = 2 * min(config.sample_nt, corpus.nucleotides)
    say(f"[vocabulary] BPE-{config.bpe_size} on up to {nucleotides:,} nt of both strands")
    with launch.connect():
        import ray

        result = ray.get(ray.remote(_train).options(num_cpus=1).remote(asdict(config), str(path.absolute())))
    say(f"[vocabulary] {result['size']:,} tokens: {rate(2 * result['sample_nucleotides'], clock.seconds, 'nt')}")
    return result


def _run_and_print(config: TrainVocabularyConfig) -> None:
    result = run(config)
    for name, strands in result["nt_per_token"].items():
        print(f"{name:6s} {strands['forward']:.3f} nt a token forward, {strands['reverse']:.3f} reverse complement")
    print(f"{result['size']:,} tokens ({result['shared_pieces']:,} shared) in {result['path']}")


PRESETS = {
    "default": TrainVocabularyConfig(),
    "smoke": TrainVocabularyConfig(bpe_size=512, sample_nt=100_000, sample_nt_per_species=100_000),
}


def main() -> None:
    """The command line."""
    launch.main(
        PRESETS, _run_and_print, "python -m jobs.train_vocabulary", "Train BPE and k-mers as one ensemble vocabulary."
    )


if __name__ == "__main__":
    from jobs.train_vocabulary import main  # by its own name, so that workers can import what they are sent

    main()

"""What vocabularies make of genomes: nucleotides a token by species, pieces they share, and what N costs.

`python -m benchmarks.vocabulary_figures CORPUS --output docs/images` trains one BPE on a mixture of a corpus'
species and one on yeast alone, measures both on windows drawn anew, draws the figures of docs/vocabularies.md and
prints their numbers as Markdown. About a minute on one core. Smaller sizes are the first merges of the largest:
greedy training makes that exact.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"  # before tokenizers is imported

import numpy as np

from benchmarks import vocabulary_plots
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sample import sample
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.pretraining.masking import MASKING
from genomics_fm.pretraining.segments import PUBLISHED_MAX_BP
from genomics_fm.randomness import key, permuted, uniform
from genomics_fm.report.token_tracks import SELECTED, State, track
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import SPECIAL_TOKENS, UNKNOWN

SIZES = (256, 512, 1_024, 2_048, 4_096, 8_192, 16_384)
DEFAULT_SIZE = 4_096
SHOWN_SIZES = (1_024, DEFAULT_SIZE, 16_384)
"""Vocabulary sizes with the five special tokens, as in `--bpe-size`."""
WORDS = (3, 4, 5, 6, 7)
SAMPLE_NT, SAMPLE_NT_PER_SPECIES = 10_000_000, 500_000
ALONE, ALONE_NT = "Saccharomyces cerevisiae", 3_000_000
MEASURED_NT = 300_000
"""Of each species; shorter genomes are measured whole."""
SEGMENT_BP = 2_300
N_RATES = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TRAINING_SEED, MEASURING_SEED = 0, 1
RANDOM_DNA = "(random letters)"


@dataclass(frozen=True)
class Species:
    """Windows of one species, as the corpus holds them."""

    name: str
    texts: list[str]

    @property
    def gc(self) -> float:
        letters = "".join(self.texts)
        return (letters.count("G") + letters.count("C")) / max(len(letters) - letters.count("N"), 1)


@dataclass(frozen=True)
class NCost:
    """What a share of N does to a vocabulary."""

    rate: float
    nt_per_token: float
    unknown_tokens: float
    lost_bases: float


def draw(corpus: Corpus, nt_per_species: int, seed: int) -> list[Species]:
    """Reference windows of every species, in random order, until each has enough or no more."""
    taken: dict[str, list[str]] = {}
    for position in range(len(corpus)):
        window = corpus.window(permuted(position, len(corpus), key(seed, "measured")))
        if window.haplotype:
            continue
        texts = taken.setdefault(window.species, [])
        left = nt_per_species - sum(map(len, texts))
        if left > 0:
            texts.append(window.sequence[:left])
    return [Species(name, texts) for name, texts in taken.items()]


def random_letters(count: int) -> str:
    codes = (uniform(key("random letters"), count) * 4).astype(np.int64)
    return np.frombuffer(b"ACGT", dtype=np.uint8)[codes].tobytes().decode()


def truncated(bpe: BpeVocabulary, size: int) -> BpeVocabulary:
    """The BPE that training would have made of the same texts, had it been told to stop at `size`."""
    wanted, known = size - len(SPECIAL_TOKENS), set("ACGT")
    for number, (left, right) in enumerate(bpe.merges):
        if len(known) == wanted and left + right not in known:
            return BpeVocabulary(bpe.pieces[:wanted], bpe.merges[:number])
        known.add(left + right)
    return bpe


def segments(texts: Sequence[str]) -> list[str]:
    """As pretraining cuts them; and `tokenizers` trains 20 times as fast on them as on whole windows."""
    return [text[at : at + SEGMENT_BP] for text in texts for at in range(0, len(text), SEGMENT_BP)]


def encoded(member: Member, texts: Sequence[str]) -> tuple[np.ndarray, int]:
    """Local ids of all segments of texts, and how many nucleotides they are."""
    cut = segments(texts)
    letters = np.frombuffer("".join(cut).encode(), dtype=np.uint8)
    ids, _ = member.encode_many(letters, np.cumsum([0, *map(len, cut)]))
    return ids, len(letters)


def nt_per_token(member: Member, texts: Sequence[str]) -> float:
    ids, nucleotides = encoded(member, texts)
    return nucleotides / len(ids)


def n_cost(member: Member, text: str, rate: float) -> NCost:
    """Replace letters by N, each with the same chance, and see what can still be read from the tokens."""
    struck = uniform(key("struck by N"), len(text)) < rate
    letters = np.where(struck, ord("N"), np.frombuffer(text.encode(), dtype=np.uint8)).astype(np.uint8)
    tokens = unknown = lost = 0
    for at in range(0, len(text), SEGMENT_BP):
        part = letters[at : at + SEGMENT_BP].tobytes().decode()
        ids = member.encode(part)
        tokens += len(ids)
        unknown += int((ids == UNKNOWN).sum())
        lost += member.decode(ids).count("N") - part.count("N")
    return NCost(rate, len(text) / tokens, unknown / tokens, lost / len(text))


def trained(corpus: Corpus) -> tuple[BpeVocabulary, BpeVocabulary]:
    """BPE of the largest size on the mixture, and of the default size on one species."""
    mixture = sample(corpus, SAMPLE_NT, SAMPLE_NT_PER_SPECIES, TRAINING_SEED)
    print(f"trained on {mixture.nucleotides:,} nt and their reverse complement, at most {SAMPLE_NT_PER_SPECIES:,} nt")
    print("of a species and strand\n", flush=True)
    largest = BpeVocabulary.train(segments(mixture.forward + mixture.reverse), SIZES[-1] - len(SPECIAL_TOKENS))
    (alone,) = (s for s in draw(corpus, ALONE_NT, TRAINING_SEED) if s.name == ALONE)
    known = [piece for text in alone.texts for piece in text.split("N") if piece]
    both = segments(known + [reverse_complement(text) for text in known])
    return largest, BpeVocabulary.train(both, DEFAULT_SIZE - len(SPECIAL_TOKENS))


def by_species(species: Sequence[Species], sizes: dict[int, BpeVocabulary], alone: BpeVocabulary) -> dict:
    """Nucleotides a token: by species, then by size; the reverse complement's and another training's at the end."""
    print("| species | GC | " + " | ".join(f"BPE-{size:,}" for size in SHOWN_SIZES), end="")
    print(f" | reverse complement, BPE-{DEFAULT_SIZE:,} | trained on yeast alone |")
    print("| --- " * (len(SHOWN_SIZES) + 4) + "|")
    rows = {}
    for one in sorted(species, key=lambda s: s.gc):
        row = [nt_per_token(sizes[size], one.texts) for size in SHOWN_SIZES]
        row.append(nt_per_token(sizes[DEFAULT_SIZE], [reverse_complement(text) for text in one.texts]))
        row.append(nt_per_token(alone, one.texts))
        rows[one.name] = (one.gc, row)
        print(f"| {one.name} | {one.gc:.1%} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)
    return rows


def shared(sizes: dict[int, BpeVocabulary]) -> dict[int, list[int]]:
    """By BPE size, how many of its pieces have 3, 4 … letters: those are k-mers as well."""
    print("\n| BPE size | " + " | ".join(f"{k}-mers" for k in WORDS) + " | longest piece | ensemble with 6-mers |")
    print("| --- " * (len(WORDS) + 3) + "|")
    counts = {}
    for size, bpe in sizes.items():
        lengths = np.array([len(piece) for piece in bpe.pieces])
        counts[size] = [int((lengths == k).sum()) for k in WORDS]
        prompts, six = 2, counts[size][WORDS.index(6)]
        cells = [*(f"{n:,}" for n in counts[size]), f"{lengths.max()}", f"{size + prompts + 4**6 - six:,}"]
        print(f"| {size:,} | " + " | ".join(cells) + " |")
    return counts


def n_costs(members: dict[str, Member], text: str) -> dict[str, list[NCost]]:
    print(
        "\n| vocabulary | N | nt a token | [UNK] of tokens | bases lost beside the N |\n| --- | --- | --- | --- | --- |"
    )
    made = {}
    for name, member in members.items():
        made[name] = [n_cost(member, text, rate) for rate in N_RATES]
        for c in made[name]:
            row = f"{c.rate:.2%} | {c.nt_per_token:.3f} | {c.unknown_tokens:.2%} | {c.lost_bases:.3%}"
            print(f"| {name} | {row} |", flush=True)
    return made


def masks(bpe: BpeVocabulary, text: str) -> None:
    """What each preset asks for, and what it leaves to be read although it is asked for."""
    print("\n| vocabulary | preset | tokens to predict | bases to predict | of these left as they are |")
    print("| --- | --- | --- | --- | --- |")
    ensemble = Ensemble({"bpe": bpe, "kmer": KmerVocabulary(6)})
    for name, longest in PUBLISHED_MAX_BP.items():
        parts = [text[at : at + longest] for at in range(0, len(text), longest)]
        for preset in MASKING:
            tracks = [track(ensemble, name, part, preset, seed) for seed, part in enumerate(parts)]
            tokens = sum(one.tokens_that_are(*SELECTED) for one in tracks) / sum(len(one.states_T) for one in tracks)
            bases = sum(one.bases_that_are(*SELECTED) for one in tracks)
            kept = sum(one.bases_that_are(State.KEPT) for one in tracks) / bases
            print(f"| {name} | {preset} | {tokens:.1%} | {bases / len(text):.1%} | {kept:.1%} |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Figures of docs/vocabularies.md.")
    parser.add_argument("corpus", type=Path, help="folder of a corpus of several species, yeast among them")
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="folder for the figures")
    options = parser.parse_args()
    corpus = Corpus(options.corpus)
    largest, alone = trained(corpus)
    sizes = {size: truncated(largest, size) for size in SIZES}
    species = draw(corpus, MEASURED_NT, MEASURING_SEED)
    measured = [*species, Species(RANDOM_DNA, [random_letters(MEASURED_NT)])]
    rows = by_species(measured, sizes, alone)
    counts = shared(sizes)
    (human,) = ("".join(s.texts).replace("N", "") for s in species if s.name == "Homo sapiens")
    default = sizes[DEFAULT_SIZE]
    costs = n_costs({"BPE-4,096": default, "6-mers": KmerVocabulary(6), "single nucleotides": KmerVocabulary(1)}, human)
    masks(default, human)
    vocabulary_plots.nt_per_token(rows, options.output / "vocabularies_nt_per_token.png")
    vocabulary_plots.shared_pieces(counts, WORDS, options.output / "vocabularies_shared_pieces.png")
    vocabulary_plots.n_costs(costs, options.output / "vocabularies_n.png")


if __name__ == "__main__":
    main()

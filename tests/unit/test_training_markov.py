"""Markov models against dictionaries of words, and posteriors against every way to fill in what is hidden."""

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.training.evaluation import codes_of
from genomics_fm.training.markov import STRENGTHS, Markov, count_markov, reference_letters
from genomics_fm.training.markov_scores import posterior, teacher_forced
from genomics_fm.vocabulary.letters import letters_of
from tests.corpora import build, dna, write_fasta
from tests.variants import write_vcf

TEXTS = [dna(400, 1, "AACGT"), dna(150, 2, "ACGTTTN"), "ACG", dna(90, 3)]
ORDER = 3


def models(order: int = ORDER, texts: list[str] = TEXTS) -> Markov:
    return count_markov([letters_of(text) for text in texts], order)


def words(texts: list[str], letters: int) -> Counter[str]:
    both = [*texts, *map(reverse_complement, texts)]
    found = Counter(text[i : i + letters] for text in both for i in range(len(text) - letters + 1))
    return Counter({word: count for word, count in found.items() if "N" not in word})


def smoothed(counts: Counter[str], strengths: tuple[float, ...], context: str, letter: str) -> float:
    """The recursion of the module, over a dictionary; lower orders are sums over the words of the highest."""
    order = len(context)
    below = smoothed(counts, strengths, context[1:], letter) if order else 0.25

    def count(suffix: str) -> int:
        return sum(n for word, n in counts.items() if word[-len(suffix) :] == suffix)

    after = [count(context + x) for x in "ACGT"]
    return (after["ACGT".index(letter)] + strengths[order] * below) / (sum(after) + strengths[order])


def test_probabilities_are_counts_smoothed_by_the_order_below() -> None:
    markov, counts = models(), words(TEXTS, ORDER + 1)
    for order in range(ORDER + 1):
        table = markov.conditional(order)
        assert table.shape == (4**order, 4)
        np.testing.assert_allclose(table.sum(1), 1, atol=1e-6)
        for rank, context in enumerate(itertools.product("ACGT", repeat=order)):
            if rank % 7 == 0:
                expected = [smoothed(counts, markov.strengths, "".join(context), x) for x in "ACGT"]
                np.testing.assert_allclose(table[rank], expected, rtol=1e-5)
    assert markov.nucleotides == sum(words(TEXTS, ORDER + 1).values()) / 2


def test_the_strength_is_that_of_the_largest_likelihood_when_letters_are_left_out() -> None:
    markov, counts = models(), words(TEXTS, ORDER + 1)

    def left_out(strength: float) -> float:
        total = 0.0
        for word, n in counts.items():
            below = smoothed(counts, markov.strengths, word[1:-1], word[-1])
            context = sum(counts[word[:-1] + x] for x in "ACGT")
            total += n * math.log((n - 1 + strength * below) / (context - 1 + strength))
        return total

    assert markov.strengths[ORDER] == max(STRENGTHS, key=left_out)
    assert STRENGTHS[0] < markov.strengths[ORDER]


def test_letters_without_structure_need_no_high_order() -> None:
    assert models(texts=[dna(20_000, 5)]).strengths[ORDER] == STRENGTHS[-1]
    assert models(texts=["ACGGT" * 400]).strengths[ORDER] == STRENGTHS[0]


def test_forced_looks_back_at_true_letters_as_far_as_there_are() -> None:
    markov, text = models(), "ACGTNACCGTTAN" + dna(40, 8)
    nats, best = teacher_forced(markov, ORDER, codes_of(text))
    for place, letter in enumerate(text):
        context = text[max(place - ORDER, 0) : place].rpartition("N")[2]
        rank = int("".join(str("ACGT".index(x)) for x in context) or "0", 4)
        row = markov.conditional(len(context))[rank]
        assert best[place] == row.argmax()
        if letter == "N":
            assert np.isnan(nats[place])
        else:
            assert nats[place] == pytest.approx(-math.log(row["ACGT".index(letter)]), rel=1e-5)
    lower, _ = teacher_forced(markov, 1, codes_of(text))
    only, _ = teacher_forced(Markov(1, markov.probability_W[:20], markov.strengths[:2], 1), 1, codes_of(text))
    np.testing.assert_array_equal(lower, only)


@pytest.mark.parametrize("hidden", [[5], [0, 1], [9, 10, 11], [3, 5, 6, 9], [11], [0, 4, 11], []])
@pytest.mark.parametrize("text", ["ACGTTGCAACGT", "ACGTTGNAACGT", "NCGTTGCAACGN"])
def test_the_posterior_is_the_sum_over_every_way_to_fill_in(text: str, hidden: list[int]) -> None:
    markov, codes = models(), codes_of(text)
    unknown = sorted({*hidden, *(place for place, letter in enumerate(text) if letter == "N")})
    expected, total = np.zeros((len(text), 4)), 0.0
    for filling in itertools.product(range(4), repeat=len(unknown)):
        full = codes.copy()
        full[unknown] = filling
        weight = math.exp(-teacher_forced(markov, ORDER, full)[0].sum())
        expected[np.arange(len(text)), full] += weight
        total += weight
    is_hidden = np.zeros(len(text), bool)
    is_hidden[hidden] = True
    np.testing.assert_allclose(posterior(markov, ORDER, codes, is_hidden), expected / total, rtol=1e-6, atol=1e-12)


def test_both_sides_know_more_than_one() -> None:
    text = dna(3, 0) + "".join(np.random.default_rng(1).choice(["ACGG", "TTCA", "CAGT"], 3_000))
    markov, codes = models(3, [text]), codes_of(text[:2_000])
    hidden = np.arange(codes.size) % 11 == 5
    both = posterior(markov, 3, codes, hidden)
    nats, _ = teacher_forced(markov, 3, codes)
    assert -np.log(both[hidden, codes[hidden]]).mean() < nats[hidden].mean() - 0.1


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere 4 letters without N"):
        models(texts=["ACG", "ACNGT"])
    with pytest.raises(InputError, match="order 13: give 0 to 12"):
        models(13)
    with pytest.raises(InputError, match="order 4: give at most 3"):
        teacher_forced(models(), 4, codes_of("ACGT"))


def test_every_letter_of_a_reference_is_given_once(tmp_path: Path) -> None:
    contigs = {"one": dna(4_000, 1), "two": dna(1_000, 2), "three": dna(2_000, 3)}
    fasta = write_fasta(tmp_path / "in.fa", contigs)
    corpus = build(tmp_path / "corpus", [Source(str(fasta), "Fictus exemplaris", "one")])
    assert len(corpus) > len(contigs)
    found: Counter[str] = Counter()
    for letters in reference_letters(corpus, ORDER):
        text = letters.tobytes().decode()
        found.update(text[i : i + ORDER + 1] for i in range(len(text) - ORDER))
    expected = Counter(text[i : i + ORDER + 1] for text in contigs.values() for i in range(len(text) - ORDER))
    assert found == expected


def test_haplotypes_are_not_counted(tmp_path: Path) -> None:
    reference = dna(3_000, 1)
    fasta = write_fasta(tmp_path / "in.fa", {"chr1": reference})
    changed = "ACGT"[("ACGT".index(reference[99]) + 1) % 4]
    vcf = write_vcf(tmp_path / "in.vcf", [f"100 {reference[99]} {changed} 1|0"])
    corpus = build(tmp_path / "corpus", [Source(str(fasta), "Fictus exemplaris", "one", vcf=vcf, phased="yes")])
    assert any(corpus.haplotypes(block).any() for block in range(len(corpus.blocks)))
    assert sum(letters.size for letters in reference_letters(corpus, 0)) == len(reference)


def test_progress_counts_blocks(corpus: Corpus) -> None:
    said: list[tuple[int, int]] = []
    for _ in reference_letters(corpus, 2, lambda done, total: said.append((done, total))):
        pass
    assert said == [(number + 1, len(corpus.blocks)) for number in range(len(corpus.blocks))]

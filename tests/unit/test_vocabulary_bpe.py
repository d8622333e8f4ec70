"""BPE by tables against `tokenizers`, which applies merges: ids must be equal on every input."""

import gzip
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genomics_fm.vocabulary import bpe_tables
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.special import UNKNOWN

GENOMES = Path(__file__).parents[3] / "shared" / "data" / "genomes"
REAL = ["phage_lambda.fa.gz", "celegans_chrI_1Mb.fa.gz", "vertebrate_syntenic/hg38.fa.gz"]
SIZES = pytest.mark.parametrize("size", [64, 512, 4096])
SEQUENCES = pytest.mark.parametrize("count", [300, pytest.param(50_000, marks=pytest.mark.full)])
LONG = 10_000
REPEATED = ["A", "T", "AT", "CA", "AAT", "ACGT", "CCCTAA", "GATTACA"]


def _drawn(draw: random.Random, length: int, letters: str = "ACGT") -> str:
    return "".join(draw.choices(letters, k=length))


def _with_repeats(draw: random.Random, length: int) -> str:
    """Random letters, short repeats of any unit, and stretches seen before: some long pieces, some runs."""
    text = ""
    while len(text) < length:
        kind = draw.randrange(3)
        if kind == 0:
            text += _drawn(draw, draw.randrange(1, 60))
        elif kind == 1:
            text += draw.choice(REPEATED) * draw.randrange(1, 40)
        else:
            begin = draw.randrange(len(text) + 1)
            text += text[begin : begin + draw.randrange(40)]
    return text[:length]


@cache
def _trained(size: int) -> BpeVocabulary:
    draw = random.Random(size)
    return BpeVocabulary.train([_with_repeats(draw, 500) for _ in range(400)], size)


@cache
def _real(name: str) -> str:
    lines = gzip.decompress((GENOMES / name).read_bytes()).decode().splitlines()
    return "".join(line for line in lines if not line.startswith(">"))


def _cut(text: str, draw: random.Random, count: int) -> list[str]:
    """Stretches of 1 to 300 letters; one in a thousand of 10 kb; some in lower case, some with other letters."""
    sequences = []
    for number in range(count):
        length = LONG if number % 1000 == 0 else draw.randrange(1, 300)
        begin = draw.randrange(max(1, len(text) - length))
        sequence = text[begin : begin + length]
        if number % 5 == 1:
            sequence = sequence.lower()
        if number % 5 == 2:
            sequence = "".join(draw.choice("NnRYx-*") if draw.random() < 0.03 else letter for letter in sequence)
        sequences.append(sequence)
    return sequences


def _merged(vocabulary: BpeVocabulary, sequence: str) -> list[int]:
    ids = vocabulary.tokenizer.encode(sequence).ids
    return [UNKNOWN if token == len(vocabulary.pieces) else token for token in ids]


def _check(vocabulary: BpeVocabulary, sequences: list[str]) -> None:
    """The ids of all sequences at once, and where each begins, are those of `tokenizers`."""
    wanted = [_merged(vocabulary, sequence) for sequence in sequences]
    letters = np.frombuffer(bytearray("".join(sequences).encode()), np.uint8)
    offsets = np.cumsum([0, *map(len, sequences)])
    ids, ends = vocabulary.encode_many(letters, offsets)
    assert ids.dtype == np.int32 and ends.dtype == np.int64
    assert np.array_equal(ends, np.cumsum([0, *map(len, wanted)]))
    for sequence, begin, end, expected in zip(sequences, ends, ends[1:], wanted, strict=False):
        assert ids[begin:end].tolist() == expected, sequence


@SIZES
@SEQUENCES
def test_random_sequences_have_the_ids_of_tokenizers(size: int, count: int) -> None:
    vocabulary = _trained(size)
    assert len(vocabulary.pieces) == size and vocabulary._tables is not None
    draw = random.Random(count)
    _check(vocabulary, _cut(_drawn(draw, 100_000), draw, count // 2))
    _check(vocabulary, _cut(_with_repeats(draw, 100_000), draw, count // 2))


@pytest.mark.skipif(not GENOMES.is_dir(), reason="needs ../shared/data/genomes")
@pytest.mark.parametrize("name", REAL)
@SEQUENCES
def test_real_sequences_have_the_ids_of_tokenizers(name: str, count: int) -> None:
    draw = random.Random(name)
    texts = [_real(REAL[0])[begin : begin + 500].upper() for begin in range(0, 48_000, 500)]
    for vocabulary in (_trained(512), _trained(4096), BpeVocabulary.train(texts, 2000)):
        assert vocabulary._tables is not None
        _check(vocabulary, _cut(_real(name), draw, count // 3))


@SIZES
def test_low_complexity_has_the_ids_of_tokenizers(size: int) -> None:
    lengths = [*range(1, 70), 255, 256, 257, 1000, 4096]
    units = [unit * (length // len(unit) + 1) for unit in REPEATED for length in lengths]
    _check(_trained(size), [text[:length] for text, length in zip(units, lengths * len(REPEATED), strict=True)])


@SIZES
def test_every_word_has_the_ids_of_tokenizers(size: int) -> None:
    words = [""]
    for _ in range(6):
        words = [*words, *(word + letter for word in words for letter in "ACGT" if len(word) == len(words[-1]))]
    _check(_trained(size), words)


def test_sequences_may_be_empty_and_need_not_begin_at_the_first_letter() -> None:
    vocabulary = _trained(512)
    sequence = _drawn(random.Random(1), 300)
    letters = np.frombuffer(bytearray(sequence.encode()), np.uint8)
    ids, ends = vocabulary.encode_many(letters, np.array([100, 100, 200, 200, 250]))
    first, second = _merged(vocabulary, sequence[100:200]), _merged(vocabulary, sequence[200:250])
    assert ids.tolist() == first + second
    assert ends.tolist() == [0, 0, len(first), len(first), len(first + second)]
    ids, ends = vocabulary.encode_many(letters, np.array([7]))
    assert ids.tolist() == [] and ends.tolist() == [0]


@pytest.mark.parametrize("sequence", ["", "a", "N", "nACGTN", "Ä", "ACG T\nÖA", "acgtnACGTN" * 40])
def test_one_sequence_is_encoded_like_many(sequence: str) -> None:
    ids = _trained(512).encode(sequence)
    assert ids.dtype == np.int64 and ids.tolist() == _merged(_trained(512), sequence)


def _vocabulary(merges: list[tuple[str, str]]) -> BpeVocabulary:
    return BpeVocabulary(list(dict.fromkeys([*"ACGT", *(left + right for left, right in merges)])), merges)


ODD = {
    "one piece made in two ways": [
        ("A", "A"),
        ("A", "AA"),
        ("AA", "A"),
        ("C", "A"),
        ("A", "C"),
        ("CA", "C"),
        ("C", "AC"),
    ],
    "a merge that never fits": [("A", "C"), ("C", "G"), ("AC", "G"), ("A", "CG"), ("ACG", "T")],
    "a merge listed twice": [("A", "C"), ("G", "T"), ("A", "A"), ("A", "C"), ("AC", "GT")],
    "runs": [("A", "A"), ("AA", "A"), ("AA", "AA"), ("AAA", "AAA"), ("AAAA", "A"), ("AAAA", "AAAA")],
}
OUT_OF_ORDER = {
    "a part made later": [("AC", "G"), ("A", "C"), ("C", "G")],
    "a part made earlier and later": [("A", "C"), ("ACG", "T"), ("AC", "G")],
    "a piece listed again after its use": [("A", "C"), ("AC", "G"), ("A", "C")],
}


@pytest.mark.parametrize("merges", ODD.values(), ids=ODD)
def test_odd_merges_have_the_ids_of_tokenizers(merges: list[tuple[str, str]]) -> None:
    vocabulary = _vocabulary(merges)
    assert vocabulary._tables is not None
    draw = random.Random(0)
    _check(vocabulary, [_drawn(draw, length, letters) for letters in ("ACGT", "AAC", "A") for length in range(60)])


@pytest.mark.parametrize("merges", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
def test_merges_out_of_order_are_applied_one_by_one(merges: list[tuple[str, str]]) -> None:
    vocabulary = _vocabulary(merges)
    assert vocabulary._tables is None
    draw = random.Random(0)
    _check(vocabulary, [_drawn(draw, length, "ACGTacgtN") for length in range(60)])


@pytest.mark.parametrize(
    "pieces", [["A", "C", "G"], [*"ACGT", "N"], [*"ACGTa"]], ids=["a letter missing", "N a piece", "lower case"]
)
def test_other_alphabets_are_left_to_tokenizers(pieces: list[str]) -> None:
    vocabulary = BpeVocabulary(pieces, [])
    assert vocabulary._tables is None
    _check(vocabulary, ["ACGTNACGT", "acgtn", ""])


def test_too_large_a_vocabulary_is_left_to_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe_tables, "LARGEST", 63)
    vocabulary = BpeVocabulary(_trained(64).pieces, _trained(64).merges)
    assert vocabulary._tables is None
    _check(vocabulary, [_drawn(random.Random(0), 200)])


def test_pieces_that_nothing_makes_are_never_used() -> None:
    vocabulary = BpeVocabulary([*"ACGT", "ACGTA", "GT", "CGT"], [("G", "T")])
    assert vocabulary._tables is not None
    assert vocabulary.encode("ACGTACGT").tolist() == [0, 1, 5, 0, 1, 5]


@st.composite
def _merges(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges of few letters, so that they meet; mostly of pieces made before, some out of order or repeated."""
    letters = draw(st.sampled_from(["A", "AC", "ACGT"]))
    pieces, merges = list(letters), []
    for _ in range(draw(st.integers(0, 25))):
        left, right = draw(st.sampled_from(pieces)), draw(st.sampled_from(pieces))
        if len(left + right) <= 40:
            merges.append((left, right))
            pieces.append(left + right)
    if draw(st.integers(0, 3)) == 0:
        merges = draw(st.permutations(merges))
    return merges


@settings(max_examples=25, deadline=None)
@given(_merges(), st.lists(st.text("ACGTAACC", max_size=80), max_size=5), st.integers(0, 1 << 30))
@example([("A", "A"), ("AA", "A")], ["AAAAAAA"], 0)
def test_random_merges_have_the_ids_of_tokenizers(merges: list[tuple[str, str]], texts: list[str], seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = _vocabulary(merges)
    joined = "".join(draw.choice(vocabulary.pieces) for _ in range(12))
    _check(vocabulary, [*texts, joined, _drawn(draw, 60, "AAC"), "A" * draw.randrange(70), joined[:50] + "N" + joined])


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 3000), marks=pytest.mark.full)])
def test_random_vocabularies_have_the_ids_of_tokenizers(seeds: range) -> None:
    for seed in seeds:
        _check_random_vocabulary(random.Random(seed))


def _check_random_vocabulary(draw: random.Random) -> None:
    letters = draw.choice(["AC", "ACG", "ACGT"])
    pieces, merges = list("ACGT"), []
    for _ in range(draw.choice([5, 30, 300])):
        left, right = (draw.choice(pieces if draw.random() < 0.6 else list(letters)) for _ in range(2))
        if len(left + right) <= 60:
            merges.append((left, right))
            pieces.append(left + right)
    vocabulary = _vocabulary(merges)
    parts = ["".join(draw.choices(pieces, k=40)) for _ in range(10)]
    _check(vocabulary, [*parts, *(_drawn(draw, 100, letters) for _ in range(10))])


def test_merges_of_strangers_are_refused() -> None:
    value = _trained(64).to_json()
    for wrong, said in [("A N", "no piece"), ("A", "values to unpack"), ("A C G", "values to unpack")]:
        with pytest.raises(ValueError, match=said):
            BpeVocabulary.from_json({**value, "merges": [*value["merges"], wrong]})
    assert BpeVocabulary.from_json(value) == _trained(64)

import json
from itertools import product

import numpy as np
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import SPECIAL_TOKENS, UNK_ID


def random_dna(rng: np.random.Generator, length: int, letters: str = "ACGT") -> str:
    return "".join(rng.choice(list(letters), size=length))


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    rng = np.random.default_rng(0)
    motif = random_dna(rng, 40)
    texts = [random_dna(rng, 300) + motif for _ in range(60)]
    return Ensemble({"bpe": BpeVocabulary.train(texts, 500), "kmer": KmerVocabulary(6)})


def published_like() -> Ensemble:
    """A made-up BPE of 4,096 tokens of which 928 pieces are 6-mers, as in the published files."""
    six = ["".join(p) for p in product("ACGT", repeat=6)][::4][:928]
    others = ["".join(p) for k in (1, 2, 3, 4, 5, 7) for p in product("ACGT", repeat=k)]
    pieces = (others[: 4091 - 928]) + six
    return Ensemble({"bpe": BpeVocabulary(pieces, []), "kmer": KmerVocabulary(6)})


def test_the_published_recipe_gives_7266_tokens_with_prompts_at_4096_and_4097() -> None:
    ensemble = published_like()
    assert ensemble.size == 7266
    assert ensemble.shared_pieces() == 928
    assert (ensemble.prompt_id("bpe"), ensemble.prompt_id("kmer")) == (4096, 4097)
    assert ensemble.tokens[:5] == list(SPECIAL_TOKENS)


def test_size_is_union_plus_prompts_plus_specials(ensemble: Ensemble) -> None:
    union = {piece for member in ensemble.members.values() for piece in member.pieces}
    assert ensemble.size == len(union) + 2 + len(SPECIAL_TOKENS) == len(set(ensemble.tokens))


def test_round_trip_of_random_sequences_with_n(ensemble: Ensemble) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        clean = random_dna(rng, int(rng.integers(6, 200)))
        dirty = random_dna(rng, int(rng.integers(6, 200)), "ACGTACGTACGTN")
        for name in ensemble.names:
            assert ensemble.decode(name, ensemble.encode(name, clean)) == clean
            back = ensemble.decode(name, ensemble.encode(name, dirty))
            assert len(back) == len(dirty)
            assert all(b in ("N", d) for b, d in zip(back, dirty, strict=True))
        assert ensemble.decode("bpe", ensemble.encode("bpe", dirty)) == dirty


def test_kmer_with_n_is_unknown_and_others_are_exact() -> None:
    ensemble = Ensemble({"kmer": KmerVocabulary(3)})
    tokens = [ensemble.tokens[i] for i in ensemble.encode("kmer", "ACGTNACG")]
    assert tokens == ["ACG", "CGT", "[UNK]", "[UNK]", "[UNK]", "ACG"]
    assert ensemble.decode("kmer", ensemble.encode("kmer", "ACGTNACG")) == "ACGTNACG"


def test_bpe_gives_one_unknown_a_letter(ensemble: Ensemble) -> None:
    ids = ensemble.encode("bpe", "ACGTNNNACGT")
    assert (ids == UNK_ID).sum() == 3


def test_intervals_cover_the_sequence(ensemble: Ensemble) -> None:
    sequence = random_dna(np.random.default_rng(2), 150, "ACGTN")
    intervals = ensemble.intervals("bpe", ensemble.encode("bpe", sequence))
    assert intervals[0, 0] == 0 and intervals[-1, 1] == 150
    assert (intervals[1:, 0] == intervals[:-1, 1]).all()
    ids = ensemble.encode("bpe", sequence)
    for token, (start, end) in zip(ids, intervals, strict=True):
        assert ensemble.tokens[token] in (sequence[start:end], "[UNK]")
    kmers = ensemble.intervals("kmer", ensemble.encode("kmer", sequence))
    assert kmers.tolist()[:2] == [[0, 6], [1, 7]] and len(kmers) == 145


def test_document_is_cls_prompt_tokens_sep(ensemble: Ensemble) -> None:
    tokens = [ensemble.tokens[i] for i in ensemble.document("kmer", "ACGTACG")]
    assert tokens == ["[CLS]", "[KMER]", "ACGTAC", "CGTACG", "[SEP]"]


def test_adding_a_vocabulary_only_appends(ensemble: Ensemble) -> None:
    larger = ensemble.with_member("three", KmerVocabulary(3))
    assert larger.tokens[: ensemble.size] == ensemble.tokens
    assert "[THREE]" in larger.tokens[ensemble.size :]
    with pytest.raises(InputError, match="has it already"):
        larger.with_member("three", KmerVocabulary(4))


def test_saved_vocabulary_comes_back_and_a_changed_one_is_refused(ensemble: Ensemble, tmp_path) -> None:
    path = tmp_path / "vocabulary.json"
    ensemble.save(path)
    assert Ensemble.load(path).tokens == ensemble.tokens
    assert Ensemble.load(path).sha256 == ensemble.sha256
    value = json.loads(path.read_text())
    value["members"][0]["pieces"][7], value["members"][0]["pieces"][8] = (
        value["members"][0]["pieces"][8],
        value["members"][0]["pieces"][7],
    )
    path.write_text(json.dumps(value))
    with pytest.raises(CorruptArtefact, match="sha256"):
        Ensemble.load(path)
    value["format_version"] = 99
    path.write_text(json.dumps(value))
    with pytest.raises(CorruptArtefact, match="newer"):
        Ensemble.load(path)
    with pytest.raises(InputError, match="train_vocabulary"):
        Ensemble.load(tmp_path / "absent.json")


def test_bpe_encoding_equals_the_trained_tokenizer_and_training_repeats(ensemble: Ensemble) -> None:
    rng = np.random.default_rng(0)
    texts = [random_dna(rng, 400) for _ in range(20)]
    first, second = BpeVocabulary.train(texts, 200), BpeVocabulary.train(texts, 200)
    assert first == second and len(first.pieces) == 200
    assert first.pieces[:4] == ["A", "C", "G", "T"]
    assert max(map(len, first.pieces)) <= 32


def test_unknown_vocabulary_is_named(ensemble: Ensemble) -> None:
    with pytest.raises(InputError, match="choose one of bpe, kmer"):
        ensemble.encode("codon", "ACGT")

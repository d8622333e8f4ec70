"""The ensemble: ids, prompts, round trips, files (U1, U2, R14)."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import SPECIAL_TOKENS, UNK_ID
from tests.vocabularies import CLEAN, DIRTY, every_kind, sequences

FACTS = Path(__file__).parents[3] / "shared" / "reference" / "ensemble_facts.json"
GOLDEN = Path(__file__).parents[1] / "golden" / "vocabulary_kinds.json"


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


@pytest.mark.skipif(not FACTS.is_file(), reason="needs ../shared/reference")
def test_the_published_files_facts_hold_for_the_made_up_recipe() -> None:
    facts, ensemble = json.loads(FACTS.read_text()), published_like()
    assert ensemble.size == facts["ensemble_size"]
    assert ensemble.prompt_id("bpe") == facts["bpe_size_including_specials"]
    assert {ensemble.prompt(name): ensemble.prompt_id(name) for name in ensemble.names} == facts["prompt_ids"]
    assert ensemble.tokens[: len(SPECIAL_TOKENS)] == facts["bpe_specials"]
    assert ensemble.shared_pieces() == facts["six_mers_that_are_also_bpe_pieces"]


def check_formula(ensemble: Ensemble) -> None:
    """|V| = |union| + prompts + specials, and no two pieces of a vocabulary have one id."""
    union = {piece for member in ensemble.members.values() for piece in member.pieces}
    assert ensemble.size == len(union) + len(ensemble.names) + len(SPECIAL_TOKENS) == len(set(ensemble.tokens))
    reserved = {*range(len(SPECIAL_TOKENS)), *map(ensemble.prompt_id, ensemble.names)}
    for name, member in ensemble.members.items():
        ids = ensemble.piece_ids(name).tolist()
        assert [ensemble.tokens[token] for token in ids] == member.pieces
        assert len(set(ids)) == len(ids) and not reserved & set(ids)


def test_size_is_union_plus_prompts_plus_specials(ensemble: Ensemble) -> None:
    check_formula(ensemble)
    assert 0 < ensemble.shared_pieces() == 5 + 2 + len(ensemble.members["bpe"].pieces) + 4096 - ensemble.size


def test_the_formula_holds_for_eight_vocabularies_and_three_frames_share_their_rows() -> None:
    ensemble = every_kind()
    assert len(ensemble.names) == 8
    check_formula(ensemble)
    frames = [ensemble.piece_ids(f"codon{frame}") for frame in range(3)]
    assert (frames[0] == frames[1]).all() and (frames[1] == frames[2]).all()
    assert ensemble.tokens[-2:] == ["[CODON1]", "[CODON2]"]


def check_round_trips(ensemble: Ensemble, count: int) -> None:
    """Every vocabulary: exact over A C G T where a token covers each base, else N (R14)."""
    for sequence in [*sequences(count // 2, CLEAN), *sequences(count // 2, DIRTY)]:
        for name in ensemble.names:
            ids = ensemble.encode(name, sequence)
            intervals = ensemble.intervals(name, ids)
            covered = np.zeros(len(sequence), bool)
            for (start, end), token in zip(intervals.tolist(), ids.tolist(), strict=True):
                covered[start:end] |= token != UNK_ID
                assert ensemble.tokens[token] in (sequence[start:end], "[UNK]")
            expected = "".join(letter if seen else "N" for letter, seen in zip(sequence, covered, strict=True))
            assert ensemble.decode(name, ids) == (expected if len(ids) else "")
            if ensemble.members[name].overlap == 1:
                assert intervals.ravel().tolist() == sorted(intervals.ravel().tolist()) and expected == sequence
            elif "N" not in sequence and len(ids):
                assert expected == sequence


def test_round_trip_of_random_sequences_with_n() -> None:
    check_round_trips(every_kind(), 300)


@pytest.mark.full
def test_round_trip_of_ten_thousand_random_sequences_with_n() -> None:
    check_round_trips(every_kind(), 10_000)


def test_many_sequences_at_once_have_the_ids_of_each() -> None:
    ensemble, texts = every_kind(), list(sequences(40, DIRTY))
    letters, offsets = np.frombuffer("".join(texts).encode(), np.uint8), np.cumsum([0, *map(len, texts)])
    for name in ensemble.names:
        ids, ends = ensemble.encode_many(name, letters, offsets)
        assert ids.dtype == np.int32
        for text, begin, end in zip(texts, ends, ends[1:], strict=False):
            assert (ids[begin:end] == ensemble.encode(name, text)).all()


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
    assert larger.tokens[ensemble.size] == "[THREE]"
    with pytest.raises(InputError, match="has it already"):
        larger.with_member("three", KmerVocabulary(4))


@pytest.mark.parametrize(
    ("name", "says"), [("Three", "another token"), ("mask", "another token"), ("a b", "letters"), ("", "letters")]
)
def test_a_name_whose_prompt_would_be_taken_or_unreadable_is_refused(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Ensemble({"three": KmerVocabulary(3)}).with_member(name, KmerVocabulary(4))


def test_every_kind_is_one_json_file_that_never_changes(tmp_path: Path) -> None:
    every_kind().save(tmp_path / "vocabulary.json")
    assert (tmp_path / "vocabulary.json").read_bytes() == GOLDEN.read_bytes()
    loaded = Ensemble.load(GOLDEN)
    assert (loaded.tokens, loaded.sha256) == (every_kind().tokens, every_kind().sha256)
    assert loaded.sha256 == "477099217bfa0dc28769b6c9638166af33752b87c67539bfd1628e0cfb98ce6c"


@pytest.mark.parametrize("change", [{"frame": 3}, {"kind": "wordpiece"}, {"frame": "x"}, {"name": "no name"}])
def test_a_member_that_cannot_be_is_a_corrupt_file(change: dict[str, object], tmp_path: Path) -> None:
    value = json.loads(GOLDEN.read_text())
    value["members"][-1] |= change
    (tmp_path / "vocabulary.json").write_text(json.dumps(value))
    with pytest.raises(CorruptArtefact, match=r"vocabulary\.json: "):
        Ensemble.load(tmp_path / "vocabulary.json")


def test_saved_vocabulary_comes_back_and_a_changed_one_is_refused(ensemble: Ensemble, tmp_path: Path) -> None:
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

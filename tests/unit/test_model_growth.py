"""One more vocabulary for a trained encoder: what it knew stays, what is new starts from its pieces."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from genomics_fm.cli import app
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.growth import EMBEDDING, add_vocabulary, made_of
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.weights import load_encoder, load_into, save_encoder
from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from tests.corpora import dna, fixed_vocabulary

BIAS = "cls.predictions.decoder.bias"


def trained(folder: Path, vocabulary: Ensemble) -> Path:
    """An encoder with drawn weights and biases, saved as pretraining saves one."""
    shape = EncoderConfig(vocabulary_size=vocabulary.size, layers=2, width=16, heads=2, ffn_width=24)
    model = new_language_model(shape, 3)
    with torch.no_grad():
        model.cls.predictions.decoder.bias.uniform_(generator=torch.Generator().manual_seed(1))
    vocabulary.save(folder / "vocabulary.json")
    save_encoder(folder, model, {"vocabulary_sha256": vocabulary.sha256, "steps": 7})
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("encoder"), fixed_vocabulary())


def loaded(folder: Path) -> tuple[MaskedLanguageModel, Ensemble]:
    config, tensors, _ = load_encoder(folder)
    model = MaskedLanguageModel(config)
    load_into(model, tensors | {"cls.predictions.decoder.weight": tensors[EMBEDDING]}, str(folder))
    return model.eval(), Ensemble.load(folder / "vocabulary.json")


@pytest.mark.parametrize("member", [KmerVocabulary(4), BlockVocabulary(5), CodonVocabulary(1)])
def test_old_vocabularies_have_the_logits_they_had(encoder: Path, member: KmerVocabulary, tmp_path: Path) -> None:
    add_vocabulary(encoder, "more", member, tmp_path)
    (before, old), (after, new) = loaded(encoder), loaded(tmp_path)
    assert new.names == (*old.names, "more")
    for name in old.names:
        document = old.document(name, dna(90, 5))
        assert (document == new.document(name, dna(90, 5))).all()
        ids, lengths = torch.from_numpy(document), [len(document)]
        with torch.inference_mode():
            assert torch.equal(before.bert(ids, lengths), after.bert(ids, lengths))
            torch.testing.assert_close(after(ids, lengths)[:, : old.size], before(ids, lengths), rtol=1e-6, atol=1e-6)
    _, tensors, _ = load_encoder(encoder)
    _, larger, _ = load_encoder(tmp_path)
    assert all(torch.equal(larger[name][: len(value)], value) for name, value in tensors.items())


def test_new_rows_are_means_of_the_pieces_in_fewest_tokens(encoder: Path, tmp_path: Path) -> None:
    new, added = add_vocabulary(encoder, "four", KmerVocabulary(4), tmp_path)
    old, tensors, grown = fixed_vocabulary(), load_encoder(encoder)[1], load_encoder(tmp_path)[1]
    fresh = [piece for piece in KmerVocabulary(4).pieces if piece not in old.id_of]
    assert added == len(fresh) + 1 == new.size - old.size
    for name in (EMBEDDING, BIAS):
        for piece in fresh:
            spelled = min((old.encode(which, piece) for which in old.names), key=len)
            expected = tensors[name][spelled.astype(int)].double().mean(0)
            torch.testing.assert_close(grown[name][new.id_of[piece]].double(), expected, rtol=1e-6, atol=1e-7)
        prompts = tensors[name][[old.prompt_id("bpe"), old.prompt_id("kmer")]].mean(0)
        torch.testing.assert_close(grown[name][new.prompt_id("four")], prompts)


def test_the_vocabulary_that_needs_fewest_tokens_spells_a_string() -> None:
    old = Ensemble({"single": KmerVocabulary(1), "three": KmerVocabulary(3), "four": BlockVocabulary(4)})
    of, ids = made_of(old, ["ACGTACGT", "ACGT", "ACGTA", "AC", "ACG"])
    tokens = [[old.tokens[i] for o, i in zip(of, ids, strict=True) if o == string] for string in range(5)]
    assert tokens == [["ACGT", "ACGT"], ["ACGT"], ["ACGT", "A"], ["A", "C"], ["ACG"]]


def test_an_encoder_grows_again_and_remembers(encoder: Path, tmp_path: Path) -> None:
    add_vocabulary(encoder, "codon0", CodonVocabulary(0), tmp_path / "one")
    new, added = add_vocabulary(tmp_path / "one", "codon1", CodonVocabulary(1), tmp_path / "two")
    assert added == 1  # the prompt: frames share their rows
    config, _, about = load_encoder(tmp_path / "two")
    middle = Ensemble.load(tmp_path / "one" / "vocabulary.json")
    assert (config.vocabulary_size, about["steps"], about["vocabulary_sha256"]) == (new.size, 7, new.sha256)
    assert about["grown_from"] == [fixed_vocabulary().sha256, middle.sha256]


def test_what_cannot_work_is_refused_and_nothing_written(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has it already"):
        add_vocabulary(encoder, "bpe", KmerVocabulary(4), tmp_path / "out")
    with pytest.raises(InputError, match="there already"):
        add_vocabulary(encoder, "more", KmerVocabulary(4), encoder)
    only = trained(tmp_path / "only", Ensemble({"kmer": KmerVocabulary(3)}))
    with pytest.raises(InputError, match="piece AA: no vocabulary of the encoder"):
        add_vocabulary(only, "two", KmerVocabulary(2), tmp_path / "out")
    Ensemble({"kmer": KmerVocabulary(3)}).with_member("five", KmerVocabulary(5)).save(only / "vocabulary.json")
    with pytest.raises(CorruptArtefact, match="not the vocabulary that the encoder was trained with"):
        add_vocabulary(only, "four", KmerVocabulary(4), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_new(encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = CliRunner().invoke(app, ["add-vocabulary", str(encoder), str(out), "--name", "single", "--kind", "single"])
    assert (ended.exit_code, ended.stdout) == (
        0,
        f"add-vocabulary: single: 4 pieces, 1 new of {fixed_vocabulary().size + 1} tokens: {out}\n",
    )
    assert json.loads((out / "config.json").read_text())["encoder"]["vocabulary_size"] == fixed_vocabulary().size + 1


def test_the_command_takes_a_trained_vocabulary_from_a_file(encoder: Path, tmp_path: Path) -> None:
    fixed_vocabulary().save(tmp_path / "v.json")
    arguments = ["--name", "again", "--from", str(tmp_path / "v.json"), "--take", "bpe"]
    ended = CliRunner().invoke(app, ["add-vocabulary", str(encoder), str(tmp_path / "out"), *arguments])
    assert ended.exit_code == 0
    assert Ensemble.load(tmp_path / "out" / "vocabulary.json").members["again"] == fixed_vocabulary().members["bpe"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", "give either --kind or --from"),
        ("--kind kmer --k 3 --from x.json", "give either --kind or --from"),
        ("--kind kmer", "kind kmer: no k given"),
        ("--kind kmer --k 0", "k 0: give 1 to"),
        ("--kind codon --frame 1 --k 3", "kind codon: has no k"),
        ("--kind bpe", "choose one of single, kmer, block, codon"),
        ("--from x.json --k 3", "--k: belongs to --kind"),
        ("--from x.json", "x.json: no such file"),
    ],
)
def test_the_command_refuses_in_one_line(encoder: Path, options: str, says: str, tmp_path: Path) -> None:
    arguments = ["add-vocabulary", str(encoder), str(tmp_path / "out"), "--name", "new", *options.split()]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert says in ended.stderr and not (tmp_path / "out").exists()

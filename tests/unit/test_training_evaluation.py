"""Evaluation of an encoder (R17), against models whose answers are known."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from genomics_fm.artefacts import read_sealed_json
from genomics_fm.cli import app
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import MaskedLanguageModel, new_language_model
from genomics_fm.model.weights import save_encoder
from genomics_fm.pretraining.masking import MASKING
from genomics_fm.randomness import key
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig, codes_of, evaluate
from genomics_fm.training.heldout import Stretch, stretches_of, stretches_of_all
from genomics_fm.training.hiding import Reader
from genomics_fm.training.markov import Markov, count_markov
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.letters import letters_of
from genomics_fm.vocabulary.special import CLS_ID, MASK_ID, SEP_ID
from tests.corpora import dna, write_fasta
from tests.vocabularies import every_kind

torch.set_num_threads(1)
CONFIG = EvaluationConfig(segments=12, segment_bp=200)
STRETCHES = [Stretch(f"s{i % 2}", f"c{i % 4}", 300 * i, dna(120 + 10 * i, i, "ACGT" * 9 + "N")) for i in range(12)]


class Oracle(MaskedLanguageModel):
    """Answers with what stood at each masked place, if it is `sure`; else finds all tokens of the ensemble alike."""

    def __init__(self, ensemble: Ensemble, name: str, stretches: Sequence[Stretch], sure: bool) -> None:
        super().__init__(EncoderConfig(vocabulary_size=ensemble.size, layers=1, width=8, heads=1, ffn_width=8))
        self.sure, self.done, self.size = sure, 0, ensemble.size
        self.documents = [ensemble.document(name, stretch.sequence) for stretch in stretches]

    def forward(
        self, ids_N: Tensor, lengths: list[int], select_M: Tensor | None = None, tokens_V: Tensor | None = None
    ) -> Tensor:
        assert select_M is not None and bool((ids_N[select_M] == MASK_ID).all())
        true_N = np.concatenate(self.documents[self.done : self.done + len(lengths)])
        self.done += len(lengths)
        shown = np.ones(len(true_N), bool)
        shown[select_M.numpy()] = False
        assert np.array_equal(ids_N.numpy()[shown], true_N[shown]), "nothing but [MASK] hides a token"
        logits_MV = torch.zeros(len(select_M), self.size)
        if self.sure:
            logits_MV[torch.arange(len(select_M)), torch.from_numpy(true_N).long()[select_M]] = 40.0
        return logits_MV if tokens_V is None else logits_MV[:, tokens_V]


def silent(name: str, done: int, total: int) -> None:
    pass


ORDERS = (2, 7)
"""Counting and smoothing 4**12 words takes seconds."""


@pytest.fixture(autouse=True)
def lower_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (evaluation.ORDERS, evaluation.BOTH_SIDES_ORDER) == ((5, 11), 5)
    monkeypatch.setattr(evaluation, "ORDERS", ORDERS)


@pytest.fixture(scope="module")
def markov() -> Markov:
    return count_markov([letters_of(dna(30_000, 77))], max(ORDERS))


@pytest.mark.parametrize("name", every_kind().names)
def test_hidden_bases_are_those_no_visible_token_covers(name: str) -> None:
    ensemble = every_kind()
    reader, total = Reader.of(ensemble, name), 0
    for number, stretch in enumerate(STRETCHES):
        one = reader.hide(stretch.sequence, number, MASKING["default"])
        plain = ensemble.document(name, stretch.sequence)
        assert (plain[0], plain[-1]) == (CLS_ID, SEP_ID)
        visible = np.delete(ensemble.intervals(name, plain[2:-1]), one.select_M - 2, axis=0)
        seen = {base for start, end in visible for base in range(start, end)}
        assert one.base_S.tolist() == [base for base in range(len(stretch.sequence)) if base not in seen]
        assert np.array_equal(reader.pieces_V[one.labels_M], plain[one.select_M])
        letters_S = reader.letters_VW[one.labels_M[one.token_S], one.offset_S]
        assert np.array_equal(letters_S, codes_of(stretch.sequence)[one.base_S]), "the answering token holds the base"
        total += len(one.base_S)
    share = total / sum(len(stretch.sequence) for stretch in STRETCHES)
    assert 0.08 < share < 0.25


def test_a_kmer_answers_for_the_base_in_its_middle() -> None:
    reader = Reader.of(every_kind(), "kmer5")
    one = reader.hide(dna(300, 4), 3, MASKING["default"])
    inner = (one.base_S >= 5) & (one.base_S < 295)
    assert inner.any() and set(one.offset_S[inner].tolist()) == {2}


def test_hidden_bases_cannot_be_told_from_visible_kmers() -> None:
    ensemble, text = every_kind(), dna(150, 4)
    reader = Reader.of(ensemble, "kmer5")
    one = reader.hide(text, 3, MASKING["default"])
    visible = np.delete(ensemble.document("kmer5", text), one.select_M)
    for base in one.base_S.tolist():
        for letter in set("ACGT") - {text[base]}:
            other = ensemble.document("kmer5", text[:base] + letter + text[base + 1 :])
            assert np.array_equal(np.delete(other, one.select_M), visible)


@pytest.mark.parametrize("name", ["bpe", "kmer", "block"])
def test_a_model_that_knows_all_and_one_that_knows_nothing(name: str) -> None:
    ensemble = every_kind()
    knows = evaluate(Oracle(ensemble, name, STRETCHES, True), ensemble, [name], STRETCHES, None, CONFIG, silent)
    all_of = knows[name]["all"]
    assert (all_of["base_accuracy"], all_of["token_accuracy"]) == (1.0, 1.0)
    assert all_of["loss"] == pytest.approx(0, abs=1e-9)
    blind = evaluate(Oracle(ensemble, name, STRETCHES, False), ensemble, [name], STRETCHES, None, CONFIG, silent)
    pieces = len(ensemble.member(name).pieces)
    loss = blind[name]["all"]["loss"]
    assert loss == pytest.approx(math.log(pieces), rel=1e-6), "the softmax is over the vocabulary's pieces alone"
    if name == "kmer":
        assert "bits_per_nucleotide" not in all_of
    else:
        bits = loss / math.log(2) * all_of["masked_tokens"] / all_of["hidden_bases"]
        assert blind[name]["all"]["bits_per_nucleotide"] == pytest.approx(bits)


def real_model(ensemble: Ensemble, folder: Path | None = None) -> MaskedLanguageModel:
    model = new_language_model(EncoderConfig(ensemble.size, layers=1, width=16, heads=2, ffn_width=16), 0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    if folder is not None:
        save_encoder(folder, model, {"steps": 0})
        ensemble.save(folder / "vocabulary.json")
    return model


def test_groups_add_up_and_order_does_not_matter(vocabulary: Ensemble, markov: Markov) -> None:
    model = real_model(vocabulary)
    found = evaluate(model, vocabulary, ["bpe", "kmer"], STRETCHES, markov, CONFIG, silent)
    turned = evaluate(model, vocabulary, ["kmer"], STRETCHES[::-1], markov, CONFIG, silent)
    for groups in ("by_source", "by_contig"):
        parts = list(found["bpe"][groups].values())
        for what in ("segments", "masked_tokens", "hidden_bases"):
            assert sum(part[what] for part in parts) == found["bpe"]["all"][what]
        weighted = sum(part["loss"] * part["masked_tokens"] for part in parts) / found["bpe"]["all"]["masked_tokens"]
        assert weighted == pytest.approx(found["bpe"]["all"]["loss"])
    assert list(found["bpe"]["by_contig"]) == ["s0: c0", "s1: c1", "s0: c2", "s1: c3"]
    for what in ("loss", "base_accuracy", "hidden_bases"):
        assert turned["kmer"]["all"][what] == pytest.approx(found["kmer"]["all"][what], rel=1e-5)


def test_the_loss_is_the_plain_one_on_a_document(vocabulary: Ensemble) -> None:
    model, reader = real_model(vocabulary), Reader.of(vocabulary, "bpe")
    stretch = STRETCHES[5]
    found = evaluate(model, vocabulary, ["bpe"], [stretch], None, CONFIG, silent)["bpe"]["all"]
    one = reader.hide(
        stretch.sequence, key(0, "evaluation mask", "bpe", stretch.contig, stretch.start), MASKING["default"]
    )
    with torch.inference_mode():
        logits = model(torch.from_numpy(one.ids_T).long(), [len(one.ids_T)])[one.select_M][:, reader.pieces_V]
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(one.labels_M))
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_markov_models_are_scored_on_the_same_bases(vocabulary: Ensemble, markov: Markov) -> None:
    found = evaluate(real_model(vocabulary), vocabulary, ["kmer"], STRETCHES, markov, CONFIG, silent)
    models = found["kmer"]["all"]["markov"]
    assert list(models) == ["order 2", "order 7", "order 5, both sides"]
    for figures in models.values():  # random letters: nobody knows better than two bits
        assert 0.18 < figures["base_accuracy"] < 0.35
        assert figures["bits_per_nucleotide"] == pytest.approx(2, abs=0.06)


def test_weights_that_are_not_finite_are_refused(vocabulary: Ensemble) -> None:
    model = real_model(vocabulary)
    with torch.no_grad():
        model.cls.predictions.decoder.bias[:] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        evaluate(model, vocabulary, ["bpe"], STRETCHES, None, CONFIG, silent)


def test_stretches_are_drawn_tile_by_tile(tmp_path: Path) -> None:
    contigs = {"a": dna(2_050, 1), "b": dna(69, 2), "n": "N" * 400 + dna(100, 3), "c": dna(470, 4)}
    file = str(write_fasta(tmp_path / "in.fa.old", contigs))
    every = stretches_of(file, 1_000, 100, 0)
    assert [(s.contig, s.start, len(s.sequence)) for s in every] == [
        *(("a", 100 * i, 100) for i in range(20)),
        ("n", 400, 100),
        *(("c", 100 * i, 100) for i in range(4)),
        ("c", 400, 70),
    ]
    assert all(s.source == "in" and contigs[s.contig][s.start :].startswith(s.sequence) for s in every)
    ten, seven = stretches_of(file, 10, 100, 0), stretches_of(file, 7, 100, 0)
    assert len(ten) == 10 and [s for s in ten if s in seven] == seven and [s for s in every if s in ten] == ten
    assert stretches_of(file, 10, 100, 1) != ten
    other = str(write_fasta(tmp_path / "other.fa", {"more": dna(900, 9), **contigs}))
    more = {(s.contig, s.start) for s in stretches_of(other, 10, 100, 0) if s.contig != "more"}
    assert more <= {(s.contig, s.start) for s in ten}, "another contig changes no draw"


def test_files_without_a_stretch_and_files_given_twice_are_refused(tmp_path: Path) -> None:
    short = str(write_fasta(tmp_path / "short.fa", {"a": dna(60, 1)}))
    with pytest.raises(InputError, match=r"short\.fa: no stretch of 70 nt"):
        stretches_of(short, 5, 100, 0)
    file = str(write_fasta(tmp_path / "in.fa", {"a": dna(500, 1)}))
    with pytest.raises(InputError, match="in, contig a: in two of the files"):
        stretches_of_all([file, file], 5, 100, 0)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_command_writes_figures_and_says_what_may_be_compared(
    tmp_path: Path, vocabulary: Ensemble, corpus: Corpus
) -> None:
    real_model(vocabulary, tmp_path / "encoder")
    files = [write_fasta(tmp_path / f"{name}.fa", {"x": dna(3_000, seed)}) for seed, name in enumerate(("one", "two"))]
    common = (tmp_path / "encoder", *files, "--segments", 4, "--segment-bp", 300, "--threads", 1)
    outputs = [tmp_path / "first.json", tmp_path / "again.json"]
    for output in outputs:
        ended = run(*common, "--corpus", corpus.folder, "-o", output)
        assert ended.exit_code == 0, ended.output
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    result = read_sealed_json(outputs[0], 1, "")
    assert set(result["vocabularies"]) == {"bpe", "kmer"}
    assert set(result["vocabularies"]["bpe"]["by_source"]) == {"one", "two"}
    assert result["corpus_sha256"] == corpus.sha256 and result["vocabulary_sha256"] == vocabulary.sha256
    assert result["settings"]["mask"]["kmer_span"] == 14
    for words in ("vocabulary kmer", "Markov order 7", "both sides", "are not comparable"):
        assert words in ended.stdout
    assert "evaluate: 8 stretches of 2 files" in ended.stderr
    alone = run(*common, "--vocabulary", "bpe", "-o", tmp_path / "alone.json")
    assert alone.exit_code == 0 and "Markov" not in alone.stdout and "kmer" not in alone.stdout
    assert json.loads((tmp_path / "alone.json").read_text())["markov"] is None


def test_the_command_refuses_in_one_line(tmp_path: Path, vocabulary: Ensemble) -> None:
    real_model(vocabulary, tmp_path / "encoder")
    fasta = write_fasta(tmp_path / "in.fa", {"x": dna(500, 1)})
    output = ("-o", tmp_path / "out.json")
    (tmp_path / "folder.json").mkdir()
    cases = [
        ((tmp_path / "encoder", fasta, "-o", tmp_path / "folder.json"), "folder.json: a folder"),
        ((tmp_path / "no", fasta, *output), "no such folder"),
        ((tmp_path / "encoder", tmp_path / "no.fa", *output), "no.fa"),
        ((tmp_path / "encoder", fasta, "-o", tmp_path / "out.txt"), "not a .json name"),
        ((tmp_path / "encoder", fasta, *output, "--vocabulary", "codon"), "not in this ensemble"),
        ((tmp_path / "encoder", fasta, *output, "--segments", 0), "segments 0: give at least 1"),
        ((tmp_path / "encoder", fasta, *output, "--segment-bp", 69), "segment_bp 69: give at least 70"),
        ((tmp_path / "encoder", fasta, *output, "--corpus", tmp_path), "build (or finish) the corpus"),
    ]
    for arguments, words in cases:
        ended = run(*arguments)
        assert ended.exit_code == 2, arguments
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert words in line
    assert not (tmp_path / "out.json").exists()

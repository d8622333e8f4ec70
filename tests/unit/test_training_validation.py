"""A run is scored on held-out stretches while it trains: on the right ones, rightly, and no weight moves."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.sources import load_any
from genomics_fm.storage import Folder
from genomics_fm.training import evaluation
from genomics_fm.training.evaluation import EvaluationConfig
from genomics_fm.training.heldout import HeldOut, stretches_of_all
from genomics_fm.training.loop import pretrain
from genomics_fm.training.markov import count_markov, reference_letters
from genomics_fm.training.metrics import LogReader, read_metrics
from genomics_fm.training.validation import ValidationPlan, read_set, validations_of
from genomics_fm.training.validation_set import MOST_READ_NT, held_out_of, prepare, read_corpus
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import build, dna, fixed_vocabulary, small_corpus, write_fasta
from tests.runs import RUN

torch.set_num_threads(1)
CONFIG = EvaluationConfig(segments=9, segment_bp=200)
STEPS = dataclasses.replace(RUN, steps=5, checkpoint_steps=2)


@pytest.fixture(autouse=True)
def _small_markov(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "ORDERS", (2, 5))  # 4**12 words take seconds


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("made-up") / "corpus")


@pytest.fixture(scope="module")
def vocabulary() -> Ensemble:
    return fixed_vocabulary()


def fasta(folder: Path, name: str, seed: int) -> str:
    return str(write_fasta(folder / f"{name}.fa", {"x": dna(1_500, seed), "y": dna(700, seed + 1)}))


def run(corpus: Corpus, folder: Path, plan: ValidationPlan | None, steps: int = 5) -> list[dict[str, Any]]:
    """The events of a run that is stopped after `steps`."""
    path = folder.parent / "vocabulary.json"
    fixed_vocabulary().save(path)

    def on_step(line: dict[str, Any]) -> None:
        if line["step"] == steps < STEPS.steps:
            raise ZeroDivisionError

    arguments = (STEPS, corpus.folder, path, folder, on_step)
    if steps < STEPS.steps:
        with pytest.raises(ZeroDivisionError):
            pretrain(*arguments, validation=plan)
    else:
        pretrain(*arguments, validation=plan)
    return validations_of(LogReader(Folder(folder)).new())


def test_scores_are_those_of_evaluate_and_change_no_weight(
    corpus: Corpus, vocabulary: Ensemble, tmp_path: Path
) -> None:
    files = [fasta(tmp_path, "one", 50), f"Fictus={fasta(tmp_path, 'two', 60)}"]
    folder, said = tmp_path / "run", list[str]()
    name = prepare(files, CONFIG, corpus, vocabulary, Folder(folder), said.append)
    assert said[-1] == "18 stretches of 2 sources; looked for in the corpus's references by 31-mers"
    run(corpus, folder, ValidationPlan(name, 2), steps=4)
    events = run(corpus, folder, ValidationPlan(name, 2))
    assert [event["step"] for event in events] == [2, 4, 4, 5][: len(events)] or [e["step"] for e in events] == [
        2,
        4,
        5,
    ]
    unscored = tmp_path / "unscored"
    assert run(corpus, unscored, None) == []
    for file in ("model.safetensors", "config.json"):
        assert (folder / file).read_bytes() == (unscored / file).read_bytes()
    losses = [[line["loss"] for line in read_metrics(Folder(place))] for place in (folder, unscored)]
    assert losses[0] == losses[1]
    model, ensemble, _ = load_any(folder)
    stretches = stretches_of_all([HeldOut.of(one) for one in files], 9, 200, 0)
    markov = count_markov(reference_letters(corpus, 5), 5)
    expected = evaluation.evaluate(
        model, ensemble, ensemble.names, stretches, markov, CONFIG, lambda *_: None  # type: ignore[arg-type]
    )  # fmt: skip
    for vocabulary_name, figures in events[-1]["vocabularies"].items():
        assert set(figures["by_source"]) == {"one", "Fictus"}
        del expected[vocabulary_name]["by_contig"]
        assert figures == expected[vocabulary_name]
    assert events[0]["vocabularies"]["bpe"]["all"]["loss"] > events[-1]["vocabularies"]["bpe"]["all"]["loss"]


def test_a_run_without_steps_between_is_scored_at_its_end(corpus: Corpus, vocabulary: Ensemble, tmp_path: Path) -> None:
    name = prepare(
        [fasta(tmp_path, "one", 50)], CONFIG, corpus, vocabulary, Folder(tmp_path / "run"), list[str]().append
    )
    assert [event["step"] for event in run(corpus, tmp_path / "run", ValidationPlan(name))] == [5]


def test_the_very_same_set_is_made_once_and_others_stand_beside_it(
    corpus: Corpus, vocabulary: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, folder, said = fasta(tmp_path, "one", 50), Folder(tmp_path / "run"), list[str]()
    first = prepare([one], CONFIG, corpus, vocabulary, folder, said.append)
    monkeypatch.setattr("genomics_fm.training.validation_set.read_corpus", None)
    assert prepare([one], CONFIG, corpus, vocabulary, folder, said.append) == first
    assert len(said) == 3 and said[1] == said[2]
    monkeypatch.undo()
    monkeypatch.setattr(evaluation, "ORDERS", (2, 5))
    other = prepare([f"New={one}"], CONFIG, corpus, vocabulary, folder, said.append)
    assert other != first and (folder / "validation").names() == sorted([f"{first}.json", f"{other}.json"])


def test_what_stands_in_the_corpus_is_left_out_and_all_of_it_refused(vocabulary: Ensemble, tmp_path: Path) -> None:
    known, new = dna(2_000, 1), dna(1_000, 2)
    source = Source(str(write_fasta(tmp_path / "in.fa", {"known": known})), "Fictus")
    corpus = build(tmp_path / "corpus", [source])
    turned = known[::-1].translate(str.maketrans("ACGT", "TGCA"))
    mixed = str(write_fasta(tmp_path / "mixed.fa", {"new": new, "old": turned[300:900]}))
    said: list[str] = []
    config = dataclasses.replace(CONFIG, segments=99)
    name = prepare([mixed], config, corpus, vocabulary, Folder(tmp_path / "run"), said.append)
    found = read_set(Folder(tmp_path / "run"), name)
    assert said[-1] == "mixed: 3 of 8 stretches stand in the corpus and are left out"
    assert {stretch[1] for stretch in found["stretches"]} == {"new"} and len(found["stretches"]) == 5
    with pytest.raises(InputError, match="validation in: all 9 stretches stand in the corpus"):
        prepare([str(tmp_path / "in.fa")], CONFIG, corpus, vocabulary, Folder(tmp_path / "run"), said.append)


def test_a_large_corpus_is_read_in_part_and_that_is_said(corpus: Corpus, vocabulary: Ensemble, tmp_path: Path) -> None:
    stretches = stretches_of_all([fasta(tmp_path, "one", 50)], 9, 200, 0)
    part = read_corpus(corpus, stretches, 5, corpus.nucleotides // 2)
    assert part.every == 2 and 0 < part.markov.nucleotides < 0.7 * corpus.nucleotides
    assert read_corpus(corpus, stretches, 5).every == 1 and corpus.nucleotides < MOST_READ_NT


def test_the_contigs_a_corpus_was_built_without_are_held_out(vocabulary: Ensemble, tmp_path: Path) -> None:
    contigs = {"in": dna(2_000, 1), "out": dna(900, 2)}
    location = str(write_fasta(tmp_path / "genome.fa", contigs))
    corpus = build(tmp_path / "corpus", [Source(location, "Fictus exemplaris", exclude_contigs=("out",))])
    assert held_out_of(corpus) == [HeldOut(location, "Fictus exemplaris", frozenset({"out"}))]
    name = prepare(["recipe"], CONFIG, corpus, vocabulary, Folder(tmp_path / "run"), list[str]().append)
    stretches = read_set(Folder(tmp_path / "run"), name)["stretches"]
    assert {(source, contig) for source, contig, *_ in stretches} == {("Fictus exemplaris", "out")}
    beside = ["recipe", fasta(tmp_path, "other", 51)]
    name = prepare(beside, CONFIG, corpus, vocabulary, Folder(tmp_path / "run"), list[str]().append)
    both = read_set(Folder(tmp_path / "run"), name)["stretches"]
    assert both[: len(stretches)] == stretches and {source for source, *_ in both[len(stretches) :]} == {"other"}
    whole = build(tmp_path / "whole", [Source(location, "Fictus exemplaris")])
    with pytest.raises(InputError, match="its sources exclude no contigs; give files with --validation"):
        held_out_of(whole)


def test_a_damaged_set_ends_the_run_before_its_first_step(corpus: Corpus, vocabulary: Ensemble, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    name = prepare([fasta(tmp_path, "one", 50)], CONFIG, corpus, vocabulary, Folder(folder), list[str]().append)
    path = folder / "validation" / f"{name}.json"
    text = path.read_text()
    path.write_text(text.replace('"one"', '"two"', 1))
    with pytest.raises(CorruptArtefact, match=name):
        run(corpus, folder, ValidationPlan(name))
    path.unlink()
    with pytest.raises(InputError, match="give the same --validation again"):
        run(corpus, folder, ValidationPlan(name))
    assert read_metrics(Folder(folder)) == [] and json.loads(text)["format_version"] == 1


def test_scores_of_steps_that_were_taken_back_count_no_more() -> None:
    def scored(step: int, mark: int, name: str = "a") -> dict[str, Any]:
        return {"event": "validation", "step": step, "set": name, "mark": mark}

    log = [scored(2, 1), scored(4, 1), scored(6, 1), {"event": "start", "step": 4}, scored(4, 2), scored(4, 3, "b")]
    assert [(one["step"], one["mark"], one["set"]) for one in validations_of(log)] == [
        (2, 1, "a"),
        (4, 2, "a"),
        (4, 3, "b"),
    ]


def test_a_file_may_be_given_a_name() -> None:
    assert HeldOut.of("Homo sapiens=data/chr20.fa") == HeldOut("data/chr20.fa", "Homo sapiens")
    assert HeldOut.of("data/k=3/chr20.fa") == HeldOut("data/k=3/chr20.fa")

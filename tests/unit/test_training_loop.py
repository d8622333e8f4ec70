import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from genomics_fm.artefacts import sha256_file
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.model.weights import load_encoder
from genomics_fm.pretraining.masking import MaskingConfig
from genomics_fm.storage import Folder
from genomics_fm.training.guard import Stopped
from genomics_fm.training.loop import pretrain
from genomics_fm.training.metrics import read_events, read_metrics
from genomics_fm.vocabulary.ensemble import Ensemble
from tests.corpora import corpus_of, dna, fixed_vocabulary, streams
from tests.runs import RUN, advance, row_hashes, run_of

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden" / "pretraining_losses.json"


def weights_sha256(folder: Path) -> str:
    return sha256_file(folder / "model.safetensors")


def without_times(folder: Path) -> list[dict[str, object]]:
    """Metrics that do not depend on how fast the machine is."""
    times = ("seconds", "unixtime", "checkpoint_unixtime", "stall")
    return [{name: v for name, v in line.items() if name not in times} for line in read_metrics(Folder(folder))]


def test_twenty_losses_are_golden(corpus: Corpus, tmp_path: Path) -> None:
    """A change that should alter numbers says old and new in LOG.md; any other leaves these."""
    run = run_of(tmp_path, corpus, steps=20, checkpoint_steps=100)
    found = [run.advance()["loss"] for _ in range(20)]
    expected = json.loads(GOLDEN.read_text())
    assert len(expected) == 20
    for ours, golden in zip(found, expected, strict=True):
        assert ours == pytest.approx(golden, rel=1e-4)
    assert found[-1]["kmer"] < found[0]["kmer"] - 0.05  # it learns


def test_a_stopped_run_ends_with_the_very_same_losses_and_weights(corpus: Corpus, tmp_path: Path) -> None:
    whole = run_of(tmp_path / "whole", corpus)
    losses = advance(whole, RUN.steps)
    whole.finish()
    stopped = tmp_path / "stopped"
    assert advance(run_of(stopped, corpus), 3) == losses[:3]
    again = run_of(stopped, corpus)
    assert again.step == 2
    assert advance(again, 5) == losses[2:5]
    last = run_of(stopped, corpus)
    assert last.step == 4
    assert advance(last, RUN.steps) == losses[4:]
    last.finish()
    assert weights_sha256(stopped) == weights_sha256(tmp_path / "whole")
    logged = without_times(stopped)
    assert logged == without_times(tmp_path / "whole")
    assert [line["step"] for line in logged] == list(range(1, RUN.steps + 1))
    assert all(0 <= line["stall"] <= line["seconds"] for line in read_metrics(Folder(stopped)))
    shares = json.loads((stopped / "sources.json").read_text())
    assert shares["format_version"] == 1 and shares["groups"][0]["share"] == shares["reference_share"] == 1


def test_a_weight_for_a_vocabulary_that_is_not_there_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vocabulary_weights bep: give one of"):
        run_of(tmp_path, corpus, vocabulary_weights={"bep": 0.5})


def test_rows_after_resuming_are_those_that_would_have_followed(corpus: Corpus, tmp_path: Path) -> None:
    whole = run_of(tmp_path / "whole", corpus)
    advance(whole, 4)
    advance(run_of(tmp_path / "stopped", corpus), 4)
    again = run_of(tmp_path / "stopped", corpus)
    assert [row_hashes(again) for _ in range(4)] == [row_hashes(whole) for _ in range(4)]


def test_a_damaged_newest_checkpoint_costs_steps_and_not_the_result(corpus: Corpus, tmp_path: Path) -> None:
    whole = run_of(tmp_path / "whole", corpus)
    losses = advance(whole, 6)
    stopped = tmp_path / "stopped"
    advance(run_of(stopped, corpus), 5)
    weights = stopped / "checkpoints" / "step-00000004" / "rank-00000-of-00001.safetensors"
    data = bytearray(weights.read_bytes())
    data[-7] ^= 1
    weights.write_bytes(data)
    again = run_of(stopped, corpus)
    assert again.step == 2
    assert len(again.skipped) == 1 and "step-00000004" in again.skipped[0]
    assert advance(again, 6) == losses[2:]
    assert run_of(stopped, corpus).skipped == []  # checkpoint 4 has been written anew


def test_a_line_of_metrics_cut_short_by_a_kill_does_not_stop_the_next_run(corpus: Corpus, tmp_path: Path) -> None:
    advance(run_of(tmp_path, corpus), 3)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 4, "los')
    assert [line["step"] for line in read_metrics(Folder(tmp_path))] == [1, 2, 3]
    again = run_of(tmp_path, corpus)
    assert again.step == 2
    assert [line["step"] for line in read_metrics(Folder(tmp_path))] == [1, 2]
    advance(again, 4)
    assert [line["step"] for line in read_metrics(Folder(tmp_path))] == [1, 2, 3, 4]


def test_metrics_of_a_run_without_a_checkpoint_are_forgotten(corpus: Corpus, tmp_path: Path) -> None:
    advance(run_of(tmp_path, corpus), 1)
    assert run_of(tmp_path, corpus).step == 0
    assert read_metrics(Folder(tmp_path)) == []
    assert read_metrics(Folder(tmp_path / "absent")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 9},
        {"stream": streams(seed=1)},
        {"stream": streams(masking=MaskingConfig(0.2))},
        {"vocabulary_weights": {"bpe": 2.0}},
    ],
)
def test_a_checkpoint_of_another_config_is_refused(corpus: Corpus, tmp_path: Path, changes: dict[str, Any]) -> None:
    advance(run_of(tmp_path, corpus), 2)
    with pytest.raises(InputError, match=r"step-00000002: written with another config, corpus or vocabulary; .*--name"):
        run_of(tmp_path, corpus, **changes)


def test_a_checkpoint_of_another_corpus_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    advance(run_of(tmp_path / "run", corpus), 2)
    other = corpus_of(tmp_path / "corpus", {"c": dna(10_000, 9)})
    with pytest.raises(InputError, match="another config, corpus or vocabulary"):
        run_of(tmp_path / "run", other)


def test_old_checkpoints_go(corpus: Corpus, tmp_path: Path) -> None:
    run = run_of(tmp_path, corpus, keep_checkpoints=2)
    advance(run, RUN.steps)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000004", "step-00000006"]


def test_weights_of_vocabularies_decide_what_is_learnt(corpus: Corpus, tmp_path: Path) -> None:
    equal = run_of(tmp_path / "equal", corpus, vocabulary_weights={"bpe": 1.0, "kmer": 1.0})
    plain = run_of(tmp_path / "plain", corpus)
    other = run_of(tmp_path / "other", corpus, vocabulary_weights={"bpe": 0.0})
    losses = [advance(run, 4) for run in (equal, plain, other)]
    assert losses[0] == losses[1] != losses[2]
    assert losses[2][0] == losses[0][0]  # before the first update


def test_rows_at_once_change_losses_by_rounding_only(corpus: Corpus, tmp_path: Path) -> None:
    losses = []
    for rows in (1, 4):
        run = run_of(tmp_path / str(rows), corpus, rows_per_microbatch=rows)
        losses.append([run.advance()["loss"] for _ in range(4)])
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_checkpointed_activations_change_no_loss(corpus: Corpus, tmp_path: Path) -> None:
    losses = []
    for again in (False, True):
        run = run_of(tmp_path / str(again), corpus, activation_checkpointing=again)
        assert run.model.bert.checkpointing is again
        losses.append(advance(run, 3))
    assert losses[0] == losses[1]


def test_pretraining_ends_with_an_encoder_its_vocabulary_and_where_it_comes_from(
    corpus: Corpus, vocabulary: Ensemble, tmp_path: Path
) -> None:
    fixed_vocabulary().save(tmp_path / "vocabulary.json")
    steps = []
    config = dataclasses.replace(RUN, steps=3)
    for _ in range(2):  # the second run makes the step after the last checkpoint again
        (tmp_path / "run" / "config.json").unlink(missing_ok=True)  # the last file: killed just before it
        pretrain(
            config, corpus.folder, tmp_path / "vocabulary.json", tmp_path / "run",
            lambda line: steps.append(line["step"]), "here",
        )  # fmt: skip
        hashes = weights_sha256(tmp_path / "run")
    starts = [(event["step"], event["steps"], event["nodes"]) for event in read_events(Folder(tmp_path / "run"))]
    assert starts == [(0, 3, ["here"]), (2, 3, ["here"])] and steps == [1, 2, 3, 3]
    assert weights_sha256(tmp_path / "run") == hashes
    encoder, tensors, about = load_encoder(tmp_path / "run")
    assert encoder.vocabulary_size == vocabulary.size and (encoder.width, encoder.layers) == (32, 2)
    assert about["corpus_sha256"] == corpus.sha256 and about["vocabulary_sha256"] == vocabulary.sha256
    assert about["steps"] == 3
    assert Ensemble.load(tmp_path / "run" / "vocabulary.json").sha256 == vocabulary.sha256
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_asked_to_stop_it_checkpoints_and_loses_no_step(corpus: Corpus, tmp_path: Path) -> None:
    fixed_vocabulary().save(tmp_path / "vocabulary.json")
    steps: dict[str, list[int]] = {"whole": [], "stopped": []}

    def go(name: str, stop_after: int) -> None:
        where = tmp_path / "vocabulary.json", tmp_path / name
        log = steps[name]
        pretrain(
            RUN, corpus.folder, *where, lambda line: log.append(line["step"]), "here",
            asked_to_stop=lambda: log[-1] >= stop_after,
        )  # fmt: skip

    go("whole", RUN.steps)  # asked at the very end, it ends
    for stop_after in (3, 4):  # between checkpoints, and at one
        with pytest.raises(Stopped, match=f"stopped after step {stop_after} of 8; the same command goes on"):
            go("stopped", stop_after)
    go("stopped", 99)
    assert steps["stopped"] == steps["whole"] == list(range(1, RUN.steps + 1))
    assert weights_sha256(tmp_path / "stopped") == weights_sha256(tmp_path / "whole")
    before = steps["whole"].copy()
    go("whole", 0)  # finished: it neither trains nor is asked
    assert steps["whole"] == before

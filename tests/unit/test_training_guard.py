"""NaN and Inf planted wherever they can arise: no update is made, and the message names worker, block and row."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import Tensor

from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError
from genomics_fm.storage import Folder
from genomics_fm.training import step as step_module
from genomics_fm.training.guard import MOST_SKIPPED, SPIKE_STEPS, Guard, NotFinite
from genomics_fm.training.loop import Run
from genomics_fm.training.metrics import read_metrics
from tests.planted import Planted
from tests.runs import RUN, advance, run_of

torch.set_num_threads(1)
WRONG = [math.nan, math.inf, -math.inf]


def snapshot(run: Run) -> dict[str, Tensor]:
    """Weights and moments, and how many updates AdamW has counted."""
    found = {name: value.detach().clone() for name, value in run.model.state_dict().items()}
    for number, state in enumerate(run.optimizer.state.values()):
        found |= {f"{number}.{name}": value.clone() for name, value in state.items()}
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def segment(run: Run, micro_batch: int, position: int) -> str:
    """What the message must say about a position, found without the guard: one document after the other."""
    rows = run._last[micro_batch].rows  # type: ignore[attr-defined]
    position %= sum(len(row.ids_N) for row in rows)
    for row in rows:
        for document, length in zip(row.segments, row.lengths, strict=True):
            if position < length:
                block = max(n for n in range(len(run.corpus.blocks)) if run.corpus.first_row(n) <= document.window)
                at = document.window - run.corpus.first_row(block)
                name = run.corpus.blocks[block]["file"]
                return f"block {name} row {at}, {document.vocabulary} {document.start:,}–{document.end:,}"
            position -= length
    raise AssertionError


@pytest.fixture
def run(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """After two steps; remembers the rows of the last."""
    run = run_of(tmp_path, corpus, steps=200, checkpoint_steps=1_000)
    update = run._update

    def remembering(parts: list[Any]) -> Any:
        run._last = parts  # type: ignore[attr-defined]
        return update(parts)

    monkeypatch.setattr(run, "_update", remembering)
    advance(run, 2)
    return run


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_token_of_the_batch_anywhere(run: Run, wrong: float) -> None:
    """All micro-batches, and positions along them, of which some are to be predicted and some are not."""
    before, named = snapshot(run), 0
    for trial in range(24 if math.isnan(wrong) else 8):
        planted = Planted(run, trial % RUN.batch_rows, 37 * trial, wrong)
        with pytest.raises(InputError, match=r"step 3: (loss|gradient) of .*: not finite, nothing was upd") as caught:
            run.advance()
        planted.remove()
        assert same(snapshot(run), before), trial
        assert "worker 0, block " in str(caught.value)
        assert segment(run, planted.micro_batch, planted.position) in str(caught.value) or "more" in str(caught.value)
        named += "more" not in str(caught.value) and str(caught.value).count("block ") == 1
    assert named >= 1 + 2 * math.isnan(wrong)  # a predicted token: its document alone is named
    assert run.advance()["step"] == 3  # and the run can go on


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_loss_anywhere(run: Run, wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = snapshot(run), step_module.F.cross_entropy

    def planted(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
        loss_M = real(logits, labels, reduction=reduction)
        return torch.where(torch.arange(len(loss_M)) == place % len(loss_M), wrong, loss_M)

    monkeypatch.setattr(step_module.F, "cross_entropy", planted)
    for place in range(12 if math.isnan(wrong) else 4):
        with pytest.raises(InputError, match="step 3: loss of worker 0, block "):
            run.advance()
        assert same(snapshot(run), before), place


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_gradient_of_any_parameter(run: Run, wrong: float) -> None:
    before = snapshot(run)
    for number, parameter in enumerate(run.model.parameters()):
        if not math.isnan(wrong) and number % 4:
            continue
        place = 7919 * number % parameter.numel()

        def planted(gradient: Tensor, place: int = place) -> Tensor:
            here = torch.arange(gradient.numel()).view_as(gradient) == place
            return torch.where(here, wrong, gradient)

        handle = parameter.register_hook(planted)
        with pytest.raises(InputError, match="step 3: gradient of "):
            run.advance()
        handle.remove()
        assert same(snapshot(run), before), number


def test_left_out_it_goes_on_and_resumes_with_the_very_same_losses(corpus: Corpus, tmp_path: Path) -> None:
    """Steps 1 and 4 are bad; the checkpoint after 4 knows that AdamW has made two updates."""

    def trained(folder: Path, until: int) -> list[Any]:
        run = run_of(folder, corpus, on_nonfinite="skip")
        lines = []
        while run.step < until:
            before = snapshot(run)
            planted = [Planted(run, 0, 5, math.nan)] if run.step in (0, 3) else []
            lines.append(run.advance())
            for one in planted:
                one.remove()
                assert same(snapshot(run), before)
        run.checkpoints.wait()  # it is written beside the training
        return [(line["step"], line["loss"], line["gradient_norm"], "left_out" in line) for line in lines]

    whole = trained(tmp_path / "whole", RUN.steps)
    assert [line[0] for line in whole if line[3]] == [1, 4]
    assert whole[3][1:3] == ({}, None)
    assert trained(tmp_path / "stopped", 5) == whole[:5]
    assert trained(tmp_path / "stopped", RUN.steps) == whole[4:]
    logged = read_metrics(Folder(tmp_path / "whole"))
    assert re.match(r"step 4: (loss|gradient) of worker 0, block .*: not finite, left out$", logged[3]["left_out"])
    assert json.loads(json.dumps(logged, allow_nan=False)) == logged


def test_a_run_that_stopped_can_go_on_without_the_step(corpus: Corpus, tmp_path: Path) -> None:
    stopped = run_of(tmp_path, corpus)
    advance(stopped, 2)
    Planted(stopped, 0, 5, math.nan)
    with pytest.raises(InputError, match="--on-nonfinite skip"):
        stopped.advance()
    again = run_of(tmp_path, corpus, on_nonfinite="skip")
    assert again.step == 2
    Planted(again, 0, 5, math.nan)
    assert "left_out" in again.advance()


def test_it_does_not_go_on_for_ever(corpus: Corpus, tmp_path: Path) -> None:
    run = run_of(tmp_path, corpus, on_nonfinite="skip", steps=99, checkpoint_steps=99)
    with torch.no_grad():
        run.model.bert.encoder.layer[0].mlp.wo.weight[3, 5] = math.nan  # type: ignore[union-attr]
    advance(run, MOST_SKIPPED)
    with pytest.raises(InputError, match=f"not finite for {MOST_SKIPPED + 1} steps in a row; lower the learning rate"):
        run.advance()


def judge(guard: Guard, values: list[float]) -> list[bool]:
    return [guard.accepts({"bpe": value}, 1.0) for value in values]


def wave(steps: int) -> list[float]:
    """Around 5, with a deviation of 0.1."""
    return [5 + 0.1 * math.sqrt(2) * math.sin(2 * math.pi * n / 32) for n in range(steps)]


@pytest.mark.parametrize(("value", "spike"), [(5.59, False), (5.61, True), (4.0, False), (100.0, True)])
def test_a_spike_lies_six_deviations_above_the_mean(value: float, spike: bool) -> None:
    guard = Guard("stop", skip_spikes=True)
    assert all(judge(guard, wave(SPIKE_STEPS)))
    assert judge(guard, [value]) == [not spike]
    assert bool(guard.spikes) == spike and guard.left_out == spike
    assert not spike or guard.spikes == [f"loss of bpe {value:.4g}, over 5.6"]


def test_spikes_are_logged_and_made_unless_asked() -> None:
    guard = Guard("stop", skip_spikes=False)
    judge(guard, wave(SPIKE_STEPS))
    assert judge(guard, [9.0]) == [True]
    assert guard.spikes and guard.left_out == 0
    assert guard.accepts({"bpe": 5.0}, 1.5) and guard.spikes == ["gradient norm 1.5, over 1.006"]


def test_before_it_knows_what_is_usual_nothing_is_a_spike() -> None:
    guard = Guard("stop", skip_spikes=True)
    assert all(judge(guard, [*wave(SPIKE_STEPS - 1), 100.0]))


def test_a_new_level_is_soon_the_usual_one() -> None:
    guard = Guard("stop", skip_spikes=True)
    judge(guard, wave(SPIKE_STEPS))
    assert 1 <= judge(guard, [9.0] * 20).count(False) <= 4


def test_a_guard_restored_decides_alike() -> None:
    values = [*wave(SPIKE_STEPS), 9.0, *wave(5), 5.7, 12.0, 5.0]
    whole, first, second = (Guard("stop", skip_spikes=True) for _ in range(3))
    decided = judge(whole, values)
    begun = judge(first, values[:131])
    second.restore(json.loads(json.dumps(first.state())))
    assert begun + judge(second, values[131:]) == decided and not all(decided)
    assert second.state() == whole.state()


def test_a_spike_left_out_changes_no_weight(run: Run) -> None:
    guard = run.guard
    guard.skip_spikes = True
    for _ in range(SPIKE_STEPS):
        guard.accepts({"bpe": 1e-3, "kmer": 1e-3}, 1e-6)
    before = snapshot(run)
    line = run.advance()
    assert line["left_out"].startswith("step 3: a spike, left out: loss of bpe ")
    assert set(line["loss"]) == {"bpe", "kmer"} and line["gradient_norm"] > 0 and len(line["spikes"]) == 3
    assert same(snapshot(run), before)


def test_the_error_is_one_for_the_input() -> None:
    assert NotFinite("loss", []).exit_code == 2

"""The arithmetic of the benchmarks of a pretraining: intervals, steps of kills, what a kill cost."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pretrain_kills, ray_overhead
from benchmarks.pairs import split, spread
from jobs import launch


def test_the_interval_of_a_median_is_that_of_the_order_statistics() -> None:
    seven = spread([3.0, 1.0, 2.0, 7.0, 5.0, 6.0, 4.0])
    assert (seven.middle, seven.low, seven.high) == (4.0, 1.0, 7.0)
    assert seven.coverage == pytest.approx(1 - 2 / 2**7)
    assert (spread([*range(11)]).low, spread([*range(11)]).high) == (1, 9)  # 2 · (1 + 11) / 2**11 is 1.2 % outside
    assert spread([1.0, 2.0, 3.0]).low is None
    assert "too few" in str(spread([1.0])) and "98.4%" in str(seven)


def test_kills_are_spread_over_the_run_and_repeat_exactly() -> None:
    steps = pretrain_kills.kill_steps(1_000, 2, seed=3)
    assert steps == pretrain_kills.kill_steps(1_000, 2, seed=3) != pretrain_kills.kill_steps(1_000, 2, seed=4)
    assert 100 <= steps[0] < 500 <= steps[1] < 900


def log_line(step: int, at: float, loss: float = 1.0) -> dict[str, Any]:
    return {"step": step, "unixtime": at, "seconds": 1.0, "stall": 0.01, "tokens": 10, "loss": {"bpe": loss}}


def start_at(step: int, at: float) -> dict[str, Any]:
    return {"event": "start", "step": step, "steps": 9, "nodes": ["n"], "skipped": [], "unixtime": at}


def test_a_kill_costs_the_time_until_the_next_update_begins_and_the_steps_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.STORAGE_VARIABLE, str(tmp_path))
    folder = tmp_path / "encoders" / "k-killed"
    folder.mkdir(parents=True)
    lines = [start_at(0, 0.0), *(log_line(step, float(step)) for step in (1, 2, 3, 4, 5))]
    lines += [start_at(2, 12.0), *(log_line(step, step + 11.5) for step in (3, 4, 5, 6))]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    kill = {"wanted": 4, "step": 4, "unixtime": 4.5, "workers": 2}
    (tmp_path / "k-killed-kills.json").write_text(json.dumps([kill]))
    [cost] = pretrain_kills.kills_of("k-killed", argparse.Namespace(output=tmp_path))
    assert (cost["resumed_at"], cost["repeated"]) == (2, 3), "a worker that was left made one more step"
    assert cost["seconds_to_train_again"] == pytest.approx(14.5 - 1.0 - 4.5)


def compared(**changes: Any) -> dict[str, Any]:
    both = {"alone": 9, "killed": 9}
    return {
        "weights_sha256": {"alone": "ab", "killed": "ab"},
        "logged_steps": both,
        "steps_with_other_losses": [],
        "minutes": {"alone": 1.0, "killed": 2.0},
        "starts": {"alone": 1, "killed": 2},
        "waiting": {"alone": 0.0, "killed": 0.0},
        "kills": [],
        "pages": {},
    } | changes


def test_runs_are_the_same_only_if_weights_steps_and_every_loss_are() -> None:
    assert pretrain_kills.same(compared()) and "the same: yes" in pretrain_kills.table(compared())
    for what in ("weights_sha256", "logged_steps"):
        assert not pretrain_kills.same(compared(**{what: {"alone": "1", "killed": "2"}}))
    other = compared(steps_with_other_losses=[7])
    assert not pretrain_kills.same(other) and "the same: NO" in pretrain_kills.table(other)


def test_a_rate_is_measured_between_the_lines_after_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_overhead, "WARM_STEPS", 2)
    found = ray_overhead.measured([log_line(step, 100.0 * (step < 3) + 2.0 * step) for step in (1, 2, 3, 4, 5)][1:])
    assert found["tokens_a_second"] == pytest.approx(20 / (10.0 - 6.0))
    assert found["waiting"] == pytest.approx(0.02 / 4.0)
    assert [loss["bpe"] for loss in found["losses"]] == [(1.0).hex()] * 4


def test_the_table_tells_the_median_and_pairs_that_differ() -> None:
    rates = dict(zip(ray_overhead.WAYS, (102.0, 100.0), strict=True))
    pair = {way: {"tokens_a_second": rate, "waiting": 0.001} for way, rate in rates.items()}
    text = ray_overhead.table([{**pair, "same_losses": True}] * 6 + [{**pair, "same_losses": False}])
    assert "slower by 0.0200 (0.0200 to 0.0200, 98.4%)" in text
    assert text.count("| yes |") == 6 and text.count("| NO |") == 1


def test_what_stands_behind_two_dashes_is_for_the_pretraining() -> None:
    assert split(["c", "--steps", "3", "--", "--x=1", "--"]) == (["c", "--steps", "3"], ["--x=1", "--"])
    assert split(["c"]) == (["c"], [])

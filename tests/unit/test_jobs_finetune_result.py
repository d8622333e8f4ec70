"""What a finetuning chooses, compares and says of its arms; no Ray."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.card import read_card
from genomics_fm.tasks import baselines, task
from genomics_fm.tasks.comparison import Difference
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import arms, encoders, finetune, finetune_arms, finetune_progress, finetune_result, finetune_text
from jobs.config import parse
from jobs.finetune_arms import Planned
from jobs.finetune_config import FinetuneConfig
from jobs.finetune_result import Predicted
from tests.heads import rows_of, write_head
from tests.unit.trial_tasks import encoder, task_of

BINARY = Problem("classification", ("no", "yes"))


def asked(*flags: str) -> FinetuneConfig:
    return parse(finetune.PRESETS, flags, "finetune")[0]


def arm(validation: float, test: float = 0.5, converged: bool | None = True) -> dict[str, Any]:
    scores = {"validation": {"mcc": validation}, "test": {"mcc": test}, "interval": [test - 0.1, test + 0.1]}
    return {"metric": "mcc", **scores, "converged": converged, "seconds": 1.0, "chosen": {}, "rows_seen": 1000}


def plan_of(*names: str, seeds: int = 2) -> list[Planned]:
    config = asked("--task", "x", "--seeds", str(seeds))
    return finetune_arms.planned(config, "task", BINARY, "encoder", names, 350)


def test_the_vocabulary_is_chosen_by_its_mean_and_the_head_by_its_seed() -> None:
    plan = plan_of("bpe", "kmer")
    score = {("bpe", 0): 0.6, ("bpe", 1): 0.5, ("kmer", 0): 0.9, ("kmer", 1): 0.1}
    found = [arm(score[t.vocabulary, t.seed] if (t := one.trial) and t.start == "pretrained" else 1.0) for one in plan]
    best = finetune_result.chosen(plan, found)
    assert plan[best].shown == "pretrained bpe, seed 0"


def test_rivals_are_chosen_as_the_head_is() -> None:
    plan = plan_of("bpe", "kmer")
    score = {"CNN": (0.2, 0.3), "scratch bpe": (0.1, 0.2), "scratch kmer": (0.6, 0.5), "pretrained bpe": (0.9, 0.8)}
    found = [arm(score.get(one.name, (0.0, 0.0))[one.seed]) for one in plan]
    rivals = finetune_result.rivals(plan, found, finetune_result.chosen(plan, found))
    names = ["majority", "GC and length", "k-mer logistic", "CNN", "scratch kmer", "scratch bpe"]
    assert [*rivals] == names
    assert [plan[rivals[name]].seed for name in names[3:]] == [1, 0, 1]


def test_groups_are_means_over_seeds() -> None:
    plan = plan_of("bpe")
    found = [arm(0.1 * place, 0.2 * place, converged=place != 5) for place in range(len(plan))]
    groups = {group["name"]: group for group in finetune_result.groups(plan, found)}
    assert [one.name for one in plan][4:] == ["CNN", *["pretrained bpe", "scratch bpe"] * 2]
    pretrained = groups["pretrained bpe"]
    assert (pretrained["test"], pretrained["low"], pretrained["high"]) == pytest.approx((1.2, 1.0, 1.4))
    assert pretrained["converged"] is False and groups["scratch bpe"]["converged"] is True
    assert (groups["CNN"]["low"], groups["majority"]["low"]) == pytest.approx((0.6, -0.1))
    lines = finetune_text.table(list(groups.values()), "pretrained bpe", "mcc").splitlines()
    assert lines[5].startswith("* pretrained bpe, mean of 2 seeds") and "seeds 1.000 to 1.400" in lines[5]
    assert [line for line in lines if line.startswith("*")] == [lines[5]]


def against(
    low: float,
    high: float,
    converged: bool | None = True,
    clean: dict[str, Any] | None = None,
    blocks: int = 10,
    p: float | None = None,
) -> dict[str, Any]:
    p = p or (0.3 if low <= 0 <= high else 0.004)
    found = {"name": "CNN", "converged": converged, "clean": clean, "rows": 60}
    return found | Difference((low + high) / 2, (low, high), p / 3, p, blocks).to_json()


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (against(-0.3, -0.1), r"the encoder LOSES to CNN on test \(mcc -0\.200, 95 % -0\.300 to -0\.100, p 0\.004\)"),
        (against(0.1, 0.3), "the encoder beats CNN"),
        (against(-0.1, 0.3), "cannot be told apart from CNN"),
        (against(0.1, 0.3, p=0.06), r"cannot be told apart from CNN on test \(.* p 0\.06\)"),
        (against(-0.3, -0.1, p=0.06), "cannot be told apart from CNN"),
        (against(0.1, 0.3, converged=False), "no verdict against CNN: it has not converged$"),
        (
            against(0.1, 0.3, clean=against(-0.3, -0.1)),
            r"LOSES to CNN on the 60 test rows that are not in .*-0\.2",
        ),
        (against(0.1, 0.3, blocks=1, clean=against(-0.1, 0.3)), "cannot be told apart from CNN on the 60"),
        (
            against(-0.3, -0.1, converged=False),
            r"no verdict against CNN.* ahead all the same \(mcc \+0\.200, p 0\.004\)",
        ),
        (against(-0.3, -0.1, converged=False, p=0.06), "no verdict against CNN: it has not converged$"),
    ],
)
def test_a_verdict_is_plain(one: dict[str, Any], said: str) -> None:
    line, counted = finetune_result.verdict(arm(0.5), [one])
    assert "p is Holm's over 1 rival; seeds are not counted" in counted
    with pytest.raises(ValueError, match=said):
        raise ValueError(line)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (against(0.1, 0.3, blocks=9), "60 test rows of 9 independent clusters or places, fewer than 10"),
        (against(0.1, 0.3, clean=against(0.1, 0.3, blocks=1)), "60 test rows of 1 independent"),
        (against(0.1, 0.3, clean={"rows": 0, "blocks": 0, "difference": None}), "every test row is in training"),
        (against(0.1, 0.3, clean={"rows": 60, "blocks": 50, "difference": None}), "not in training are of one class"),
    ],
)
def test_nothing_is_said_of_too_few_blocks(one: dict[str, Any], said: str) -> None:
    (line,) = finetune_result.verdict(arm(0.5), [one])
    assert line.startswith("no verdict: ") and said in line


@pytest.mark.parametrize(("converged", "said"), [(False, "has not converged"), (None, "may not have converged")])
def test_nothing_is_said_of_a_head_that_has_not_converged(converged: bool | None, said: str) -> None:
    (line,) = finetune_result.verdict(arm(0.5, converged=converged), [against(0.1, 0.3), against(-0.3, -0.1)])
    assert line.startswith("no verdict") and said in line and "CNN" not in line


def test_a_score_without_leaked_rows(tmp_path: Path) -> None:
    made = task_of("classification")
    about = {"audit": {"rows_in_train": [0, 1, 2]}}
    leaky = dataclasses.replace(made, about=about)
    perfect = np.eye(3, dtype=np.float32)[made.test.labels]
    perfect[:3] = np.roll(perfect[:3], 1, axis=1)
    predicted = Predicted.of(made.test, perfect)
    assert finetune_result.clean_score(leaky, predicted) == 1.0 and predicted.score(made.problem) < 1.0
    assert finetune_result.clean_score(made, predicted) is None


def test_leaked_rows_do_not_decide(tmp_path: Path) -> None:
    made = task_of("classification")
    right, wrong = np.eye(3, dtype=np.float32)[made.test.labels], np.eye(3, dtype=np.float32)[made.test.labels - 1]
    leaked = np.arange(len(made.test)) < 24
    answers = {"pretrained bpe": np.where(leaked[:, None], right, wrong), "scratch bpe": right, "majority": wrong}
    plan = [one for one in plan_of("bpe", seeds=1) if one.name in answers]
    for one in plan:
        path = tmp_path / one.folder / arms.TEST
        path.parent.mkdir()
        path.write_bytes(Predicted.of(made.test, answers[one.name]).to_parquet())
    found = [arm(0.5) for _ in plan]

    def compared(rows: list[int]) -> list[dict[str, Any]]:
        leaky = dataclasses.replace(made, about={"audit": {"rows_in_train": rows}})
        return finetune_result.compared(leaky, tmp_path, plan, found, 1)

    majority, scratch = compared([*range(24)])
    assert majority["difference"] > 0.5 and majority["clean"]["difference"] == 0
    assert (majority["rows"], majority["blocks"], majority["clean"]["rows"], majority["clean"]["blocks"]) == (
        36,
        18,
        12,
        6,
    )
    assert scratch["clean"]["difference"] < scratch["difference"] < 0
    assert scratch["clean"]["interval"][1] < 0 and scratch["score_clean"] == 1.0
    assert [one["clean"] for one in compared([])] == [None, None]
    nothing = {"difference": None, "interval": None, "p": None, "p_adjusted": None, "sign": None}
    assert compared([*range(36)])[0]["clean"] == {"rows": 0, "blocks": 0, **nothing}
    of_others = np.flatnonzero(made.test.labels != 1)
    left = compared(of_others.tolist())[0]
    assert left["clean"] == {"rows": 36 - len(of_others), "blocks": left["clean"]["blocks"], **nothing}
    assert left["clean"]["blocks"] > 0 and left["score_clean"] is None


def test_a_head_of_two_classes_tells_from_where_it_answers_the_second(tmp_path: Path) -> None:
    scores = {"validation": {"mcc": 0.6}, "test": {"mcc": 0.4, "mcc_at_threshold": 0.55}}
    folder = write_head(tmp_path / "two", thresholds=(0.31,), metrics=scores)
    assert finetune_result.decision(folder) == {"probability": 0.31, "mcc": 0.55}
    head = arm(0.6, 0.4) | {"name": "x", "seed": 0}
    result = {"head": head, "rows": {"train": 9}, "clean": None, "verdict": [], "calibration": None, "registered": None}
    problem = read_card(folder / "config.json").problem.to_json()
    said = finetune_text.of_head({**result, "problem": problem, "decision": finetune_result.decision(folder)})
    assert said[-1] == "label coding is answered from a probability of 0.310 on: test mcc 0.550"
    three = Problem("classification", ("a", "b", "c"))
    folder = write_head(tmp_path / "three", problem=three, prevalence=(), rows=rows_of(three))
    assert finetune_result.decision(folder) is None


def test_a_split_of_our_own_that_leaks_is_refused() -> None:
    made = task_of("classification")
    audit = {"grade": "A", "verdict": "invalid, re-split: 3 of 36 test rows are in the training rows"}
    leaky = dataclasses.replace(made, about={"audit": audit, "split": {"how": "contig"}})
    with pytest.raises(InputError, match=r"classification task: invalid, re-split: 3 of 36.*divide"):
        finetune._refuse_leaks(leaky)
    with pytest.raises(InputError, match="invalid"):
        finetune._refuse_leaks(dataclasses.replace(made, about={"audit": audit}))
    finetune._refuse_leaks(dataclasses.replace(made, about={"audit": audit, "split": {"how": "official"}}))
    finetune._refuse_leaks(made)


@pytest.mark.parametrize("kind", ["multilabel", "regression", "per-base"])
def test_every_kind_of_problem_comes_to_a_result(kind: Kind, vocabulary: Ensemble, tmp_path: Path) -> None:
    made = task_of(kind)
    about = {"audit": {"grade": "A", "verdict": "leaks", "rows_in_train": [0], "counts": {"A": 1}}}
    task.save(tmp_path / "task", dataclasses.replace(made, about=about))
    folder = encoder(tmp_path / "encoder", vocabulary)
    flags = ("--task", "x", "--vocabulary", "kmer", "--trial.updates", "4", "--trial.evaluations", "4")
    config = asked(*flags)
    plan = finetune_arms.planned(config, str(tmp_path / "task"), made.problem, str(folder), ["kmer"], 60)
    plan = [one for one in plan if one.trial or one.name == baselines.NAMES[kind][0]]
    found = [finetune_arms._on_worker(dataclasses.asdict(one), str(tmp_path)) for one in plan]
    opened = encoders.opened(folder, "asked for")
    result = finetune._result(config, task.load(tmp_path / "task"), opened, tmp_path, plan, found)
    names = [baselines.NAMES[kind][0], "scratch kmer"]
    assert [one["name"] for one in result["comparisons"]] == names
    assert result["clean"] is not None and result["clean"] != result["head"]["test"][made.problem.metric]
    assert read_card(tmp_path / plan[1].folder / "config.json").metrics["baselines"].keys() == {*names}
    registered = {"uri": "models:/x/2", "promoted": False, "why": "so"}
    said = finetune_text.of_head(json.loads(json.dumps(result | {"registered": registered})))
    assert said[-1] == "registered as models:/x/2, not champion: so"
    assert f"chosen on validation: test {made.problem.metric}" in said[0] and "without 1 test rows" in said[2]
    assert not list(tmp_path.glob(f"*/{finetune_progress.PROGRESS}"))

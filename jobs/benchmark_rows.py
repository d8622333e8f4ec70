"""What one finetuning says in the benchmark's table: a row a model, and how the head does against each rival."""

from typing import Any

import pyarrow as pa

from genomics_fm.tasks import bootstrap
from genomics_fm.tasks.registry_entry import Entry

BASELINE = "baseline"
OUTCOMES = {1: "beats", 0: "ties", -1: "loses"}
_TEXT = ("set", "family", "kind", "metric", "how", "model", "start", "vocabulary", "grade", "outcome",
         "task_sha256", "encoder_sha256")  # fmt: skip
_WHOLE = ("outputs", "length_shortest", "length_longest", "rows_train", "rows_learnt", "rows_test", "blocks_test",
          "rows_in_train", "rows_seen_unlabelled", "seeds", "rows_seen")  # fmt: skip
_NUMBER = ("validation", "test", "test_least", "test_most", "low", "high", "test_clean", "seconds", "difference",
           "difference_low", "difference_high", "p_adjusted")  # fmt: skip
_TRUTH = ("converged", "head")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXT]
    + [(name, pa.int64()) for name in _WHOLE]
    + [(name, pa.float64()) for name in _NUMBER]
    + [(name, pa.bool_()) for name in _TRUTH]
)
"""Columns of the Parquet file. `test` is the mean over seeds, `low` to `high` the 95 % interval of the seed that is
best on validation, `test_clean` what that seed of a head or rival scores without test rows that are in training;
`difference` is head minus this model on the rows that decide, with its paired interval and the
p that counts all rivals; `outcome` is what may be said of the head against it: beats, ties, loses, or none with why."""


def rows_of(entry: Entry, how: str, result: dict[str, Any], lengths: tuple[int, int]) -> list[dict[str, Any]]:
    """The rows of one set and one way of training.

    Args:
        entry: of the registry.
        how: probe, full or lora.
        result: of `jobs.finetune.run`.
        lengths: shortest and longest training sequence.
    """
    audit, head = result["audit"], result["head"]
    counts = audit.get("counts", {})
    rivals = {one["name"]: one for one in result["comparisons"]}
    common = {
        "set": entry.name,
        "family": entry.family,
        "kind": result["problem"]["kind"],
        "metric": head["metric"],
        "outputs": len(result["problem"]["names"]),
        "length_shortest": lengths[0],
        "length_longest": lengths[1],
        "rows_train": result["rows"]["train"],
        "rows_test": result["rows"]["test"],
        "blocks_test": result["comparisons"][0]["blocks"],
        "grade": audit.get("grade", ""),
        "rows_in_train": counts.get("A"),
        "rows_seen_unlabelled": counts.get("B"),
        "how": how,
        "task_sha256": result["task_sha256"],
        "encoder_sha256": result["encoder"]["sha256"],
    }
    rows = [common | _row(group, result["arms"], head, rivals.get(group["name"])) for group in result["groups"]]
    return [{**row, "test_clean": result["clean"]} if row["head"] else row for row in rows]


def _row(
    group: dict[str, Any], arms: list[dict[str, Any]], head: dict[str, Any], rival: dict[str, Any] | None
) -> dict[str, Any]:
    of = [arm for arm in arms if arm["name"] == group["name"]]
    best = max(of, key=lambda arm: arm["validation"][arm["metric"]])
    tests = [arm["test"][arm["metric"]] for arm in of]
    decisive = (rival["clean"] or rival) if rival else dict.fromkeys(("difference", "interval", "p_adjusted"))
    low, high = decisive["interval"] or (None, None)
    return {
        "model": group["name"],
        "start": best.get("start", BASELINE),
        "vocabulary": best.get("vocabulary", ""),
        "rows_learnt": best["labels_seen"],
        "seeds": group["seeds"],
        "validation": group["validation"],
        "test": group["test"],
        "test_least": min(tests),
        "test_most": max(tests),
        "low": best["interval"][0],
        "high": best["interval"][1],
        "test_clean": rival["score_clean"] if rival else None,
        "rows_seen": group["rows_seen"],
        "converged": group["converged"],
        "seconds": group["seconds"],
        "head": group["name"] == head["name"],
        "difference": decisive["difference"],
        "difference_low": low,
        "difference_high": high,
        "p_adjusted": decisive["p_adjusted"],
        "outcome": _outcome(head, rival, decisive) if rival else "",
    }


def _outcome(head: dict[str, Any], rival: dict[str, Any], decisive: dict[str, Any]) -> str:
    """What may be said of the head against a rival, as `finetune_result.verdict` does."""
    if decisive["difference"] is None:
        return f"none: the test rows that are not in training are {'of one class' if decisive['rows'] else 'none'}"
    if decisive["blocks"] < bootstrap.FEWEST_BLOCKS:
        return "none: too few independent test rows"
    if head["converged"] is not True:
        known = "has not" if head["converged"] is False else "may not have"
        return f"none: the head {known} converged"
    if rival["converged"] is False:
        return "none: it has not converged"
    return OUTCOMES[decisive["sign"]]

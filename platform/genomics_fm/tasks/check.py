"""What labelled rows hold, for people and as JSON, before anything is trained on them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.tasks import clusters, parts
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.read_table import CHANGES

MAX_CLUSTERED = 100_000
"""Rows among which near-duplicates are sought: half a minute of 200-nt sequences."""
RARE = 0.05
FEW_ROWS = 20
CALIBRATED_ROWS = 100
SHORT_BP = 10
SHOWN = 20
TELLING = 0.75
"""AUROC from which length or GC alone tells two classes apart well enough to say so."""


def summary(labelled: Labelled) -> dict[str, Any]:
    """What the rows hold; plain values that JSON knows.

    Returns:
        `kind`, `names`, `stranded`, `metric`, `rows`, `answers` (a row a class, label or target), `splits`, `length_bp`
        and `gc` (minimum, median, maximum), `n_share`, `counts` (of the reader: duplicates, conflicts, letters changed
        …), `contigs` (on which the rows lie; 0 unless all say where, and on few), `clusters` of near-duplicates (R12;
        None above `MAX_CLUSTERED` rows), `warnings`.
    """
    rows, problem = labelled.rows, labelled.problem
    places = parts.places(rows.locus)
    lengths = np.fromiter(map(len, rows.sequences), np.int64, len(rows))
    gc = np.array([sequence.count("G") + sequence.count("C") for sequence in rows.sequences]) / np.maximum(lengths, 1)
    unknown = sum(sequence.count("N") for sequence in rows.sequences)
    found = {
        "kind": problem.kind,
        "names": list(problem.names),
        "stranded": problem.stranded,
        "metric": problem.metric,
        "rows": len(rows),
        "answers": _answers(labelled),
        "splits": dict(Counter(labelled.split or ())),
        "length_bp": _spread(lengths),
        "gc": _spread(np.round(gc, 4)),
        "n_share": round(unknown / max(1, int(lengths.sum())), 6),
        "counts": dict(_flat(labelled.about.get("counts", {}))),
        "contigs": len(places.names) if places else 0,
        "clusters": _clusters(rows.sequences),
    }
    return found | {"warnings": _warnings(labelled, found, lengths, gc)}


def text(found: dict[str, Any]) -> str:
    """A summary for people, some lines."""
    counts, names = found["counts"], found["names"]
    lines = [
        f"{found['kind']}, {'stranded' if found['stranded'] else 'unstranded'}, compared by {found['metric']}; "
        f"{found['rows']:,} rows",
        *(f"  {_answer(answer)}" for answer in found["answers"][:SHOWN]),
        *([f"  … and {len(names) - SHOWN:,} more"] if len(names) > SHOWN else []),
        f"  length {_said(found['length_bp'], ',')} nt (least, median, most), GC {_said(found['gc'], '.2f')}, "
        f"N {found['n_share']:.2%}",
        f"  {counts.get('duplicates', 0):,} duplicates, {counts.get('conflicts', 0):,} rows that contradict another "
        f"({counts.get('conflicts_left_out', 0):,} left out), {_near(found['clusters'])}",
    ]
    if contigs := found["contigs"]:
        lines.append(f"  all rows say where they lie: on {contigs:,} contig{'s' * (contigs > 1)}")
    if found["splits"]:
        lines.append("  splits of the source: " + ", ".join(f"{name} {n:,}" for name, n in found["splits"].items()))
    if changed := [f"{counts[name]:,} {_CHANGED[name]}" for name in CHANGES if counts.get(name)]:
        lines.append("  letters changed: " + ", ".join(changed))
    plain = {*CHANGES, "rows", "duplicates", "conflicts", "conflicts_left_out"}
    if others := [f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items() if name not in plain]:
        lines.append("  " + ", ".join(others))
    return "\n".join(lines + [f"  warning: {warning}" for warning in found["warnings"]])


_CHANGED = {"lower": "lower case", "u_to_t": "U read as T", "iupac_to_n": "ambiguity codes read as N"}


def _spread(values: NDArray[Any]) -> list[float]:
    return [value.item() for value in (values.min(), np.median(values), values.max())]


def _said(values: list[float], form: str) -> str:
    return " / ".join(format(int(value) if form == "," else value, form) for value in values)


def _near(found: dict[str, Any] | None) -> str:
    if found is None:
        return f"near-duplicates not sought (more than {MAX_CLUSTERED:,} rows)"
    return (
        f"{found['clusters']:,} clusters of similar sequences, the largest of {found['largest']:,}, "
        f"{found['alone']:,} rows alone"
    )


def _clusters(sequences: list[str]) -> dict[str, int] | None:
    if len(sequences) > MAX_CLUSTERED:
        return None
    sizes = np.bincount(clusters.cluster(sequences))
    return {"clusters": len(sizes), "largest": int(sizes.max()), "alone": int(np.sum(sizes == 1))}


def _answers(labelled: Labelled) -> list[dict[str, Any]]:
    """Of each class or label how many rows (bases) have it; of each target its values."""
    problem, labels = labelled.problem, labelled.rows.labels
    if problem.kind == "regression":
        return [_values(name, labels[:, place]) for place, name in enumerate(problem.names)]
    if problem.kind == "multilabel":
        measured, ones = (~np.isnan(labels)).sum(0), np.nansum(labels, axis=0)
        return [_share(*row) for row in zip(problem.names, ones.tolist(), measured.tolist(), strict=True)]
    every = np.concatenate(list(labels)) if problem.kind == "per-base" else labels
    every = every[every >= 0]
    counts = np.bincount(every, minlength=problem.outputs).tolist()
    return [_share(name, count, len(every)) for name, count in zip(problem.names, counts, strict=True)]


def _flat(counts: Mapping[str, Any]) -> Counter[str]:
    """Counts by name; those of several files, each under its name, are summed."""
    found: Counter[str] = Counter()
    for name, count in counts.items():
        found.update(_flat(count) if isinstance(count, Mapping) else {name: int(count)})
    return found


def _share(name: str, count: float, of: int) -> dict[str, Any]:
    return {"name": name, "count": int(count), "of": of, "share": count / max(1, of)}


def _values(name: str, column: NDArray[np.float32]) -> dict[str, Any]:
    known = column[~np.isnan(column)].astype(np.float64)
    values = (len(known), known.mean(), known.std(), known.min(), known.max())
    return {"name": name} | dict(zip(("count", "mean", "sd", "least", "most"), map(float, values), strict=True))


def _answer(answer: dict[str, Any]) -> str:
    if "share" in answer:
        return f"{answer['name']}: {answer['count']:,} of {answer['of']:,} ({answer['share']:.1%})"
    return (
        f"{answer['name']}: {answer['count']:,.0f} values, mean {answer['mean']:.4g}, sd {answer['sd']:.4g}, "
        f"{answer['least']:.4g} to {answer['most']:.4g}"
    )


def _warnings(
    labelled: Labelled, found: dict[str, Any], lengths: NDArray[np.int64], gc: NDArray[np.float64]
) -> list[str]:
    """What will make results weak or misleading, each with what to do."""
    said = []
    rows, problem = len(lengths), labelled.problem
    if problem.classes or problem.kind == "multilabel":
        rare = [answer["name"] for answer in found["answers"] if answer["count"] < FEW_ROWS or answer["share"] < RARE]
        if rare:
            names = ", ".join(rare[:3]) + (", …" if len(rare) > 3 else "")
            said.append(f"{len(rare)} rare ({names}): under {FEW_ROWS} or {RARE:.0%}; read AUPRC beside its prevalence")
    if rows < CALIBRATED_ROWS:
        said.append(f"{rows} rows: too few to calibrate probabilities or give intervals; give at least 1,000")
    if lengths.min() < SHORT_BP:
        said.append(f"sequences under {SHORT_BP} nt; give longer ones")
    near = found["clusters"]
    if near and near["largest"] > max(1, clusters.LARGEST_SHARE * rows):
        said.append(
            f"{near['largest']:,} rows are similar to each other, more than {clusters.LARGEST_SHARE:.0%}: no split by "
            "similarity is balanced; trim what all share, or give loci or a split"
        )
    if pair := labelled.about.get("conflict"):
        said.append(f"equal sequences with different labels ({' and '.join(pair)}, …); mend them, or see --conflicts")
    return said + [
        f"{what} alone tells the classes apart (AUROC {area:.2f}); match it, or compare with that baseline"
        for what, values in (("length", lengths), ("GC", gc))
        if (area := _area(problem, labelled.rows.labels, values)) >= TELLING
    ]


def _area(problem: Problem, labels: NDArray[Any], values: NDArray[Any]) -> float:
    """AUROC of a number that tells two classes apart, in the better direction; 0 for other problems."""
    if not problem.binary:
        return 0.0
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(labels, values))
    return max(area, 1 - area)

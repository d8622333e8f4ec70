"""What a column of labels asks: classes, labels, values, or a class of every base."""

from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.problem import UNLABELLED, Kind
from genomics_fm.tasks.read_table import read_table

BP = 12


def _sequences(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return ["".join(row) for row in draw.choice(list("ACGT"), (count, BP))]


def _read(folder: Path, columns: dict[str, list[str]], layout: Layout = Layout()) -> Labelled:  # noqa: B008
    path = folder / "t.tsv"
    rows = zip(_sequences(len(next(iter(columns.values())))), *columns.values(), strict=True)
    path.write_text("\n".join("\t".join(row) for row in [("sequence", *columns), *rows]) + "\n")
    return read_table(str(path), layout)


@pytest.mark.parametrize(
    ("labels", "names", "ids"),
    [
        (["1", "0", "1", "1"], ("0", "1"), [1, 0, 1, 1]),
        (["10", "9", "10", "9"], ("9", "10"), [1, 0, 1, 0]),
        (["1.0", "0.0", "1", "00"], ("0", "1"), [1, 0, 1, 0]),
        (["-1", "+1", "-1", "1"], ("-1", "1"), [0, 1, 0, 1]),
        (["b", "a", "c", "b", "a", "c"], ("a", "b", "c"), [1, 0, 2, 1, 0, 2]),
        (["none", "β sheet", "none", "none"], ("none", "β sheet"), [0, 1, 0, 0]),
    ],
)
def test_classes(tmp_path: Path, labels: list[str], names: tuple[str, ...], ids: list[int]) -> None:
    found = _read(tmp_path, {"label": labels})
    assert (found.problem.kind, found.problem.names) == ("classification", names)
    assert found.problem.metric == "mcc" and not found.problem.stranded
    assert found.rows.labels.dtype == np.int64 and found.rows.labels.tolist() == ids


def test_the_positive_class_can_be_named(tmp_path: Path) -> None:
    labels = {"label": ["peak", "random", "peak"]}
    assert _read(tmp_path, labels).rows.labels.tolist() == [0, 1, 0]
    found = _read(tmp_path, labels, Layout(classes=("random", "peak"), metric="auroc", stranded=True))
    assert found.problem.names == ("random", "peak") and found.rows.labels.tolist() == [1, 0, 1]
    assert found.problem.metric == "auroc" and found.problem.stranded


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["0.5", "1", "2", "1"], "regression"),
        (["1e-3", "-.5", "2.", "1"], "regression"),
        ([str(number % 51) for number in range(200)], "regression"),
        ([str(number % 50) for number in range(200)], "classification"),
        (["5", "17", "230", "9"], "regression"),
        ([f"n{number % 40}" for number in range(80)], "classification"),
    ],
)
def test_kind_of_a_column(tmp_path: Path, labels: list[str], kind: str) -> None:
    assert _read(tmp_path, {"label": labels}).problem.kind == kind


def test_the_kind_can_be_forced(tmp_path: Path) -> None:
    counts = {"label": ["0", "1", "0", "1"]}
    values = _read(tmp_path, counts, Layout(kind="regression"))
    assert values.problem.metric == "pearson" and values.rows.labels.tolist() == [[0.0], [1.0], [0.0], [1.0]]
    ids = {"label": ["1", "X", "2", "X", "1"]}
    with pytest.raises(InputError, match="'X' among numbers; mend it, or give --kind"):
        _read(tmp_path, ids)
    assert _read(tmp_path, ids, Layout(kind="classification")).problem.names == ("1", "2", "X")
    assert _read(tmp_path, counts, Layout(kind="multilabel")).rows.labels.tolist() == [[0.0], [1.0], [0.0], [1.0]]


def test_several_columns(tmp_path: Path) -> None:
    columns = {"x": ["1", "0", "", "1.0"], "y": ["0", "0", "1", "NA"]}
    found = _read(tmp_path, columns, Layout(targets=("y", "x")))
    assert found.problem.kind == "multilabel" and found.problem.names == ("y", "x")
    expected = np.array([[0, 1], [0, 0], [1, np.nan], [np.nan, 1]], np.float32)
    assert found.rows.labels.dtype == np.float32
    assert np.array_equal(found.rows.labels, expected, equal_nan=True)
    found = _read(tmp_path, columns | {"y": ["0", "0", "1", "3.5"]}, Layout(targets=("y", "x")))
    assert found.problem.kind == "regression" and found.problem.metric == "pearson"
    assert found.rows.labels[:, 0].tolist() == [0, 0, 1, 3.5] and np.isnan(found.rows.labels[2, 1])
    with pytest.raises(InputError, match="2 columns for classification"):
        _read(tmp_path, columns, Layout(targets=("y", "x"), kind="classification"))


def test_a_class_a_base(tmp_path: Path) -> None:
    found = _read(tmp_path, {"label": ["eeeeii..iiee", "." * BP, "iiiiiiiiiiii"]})
    assert found.problem.kind == "per-base" and found.problem.names == ("e", "i") and found.problem.metric == "mcc"
    first, none, _ = found.rows.labels
    assert first.dtype == np.int8
    assert first.tolist() == [0, 0, 0, 0, 1, 1, UNLABELLED, UNLABELLED, 1, 1, 0, 0]
    assert set(none.tolist()) == {UNLABELLED}
    digits = _read(tmp_path, {"label": ["012000000000", "000000000000"]})
    assert digits.problem.kind == "per-base" and digits.problem.names == ("0", "1", "2")
    for classes, words in (
        (("i", "ee"), "a class a base is one character"),
        (("i", "x"), "'e' is none of the classes"),
    ):
        with pytest.raises(InputError, match=words):
            _read(tmp_path, {"label": ["eeeeii..iiee"]}, Layout(kind="per-base", classes=classes))
    with pytest.raises(InputError, match="bases of one class"):
        _read(tmp_path, {"label": ["eeeeee..eeee"]})


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_a_column_without_any_value_is_refused(tmp_path: Path, kind: Kind) -> None:
    columns = {"x": ["1", "0", "1", "1"], "y": ["", "NA", "", "."]}
    with pytest.raises(InputError, match=r"column 'y': .*; leave the column out"):
        _read(tmp_path, columns, Layout(targets=("x", "y"), kind=kind))

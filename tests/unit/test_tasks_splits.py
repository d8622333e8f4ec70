"""Divisions: what stays together, what is held out, and what is said about it."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.tasks import audit, parts, splits, task
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.problem import UNLABELLED, Kind, Problem
from genomics_fm.tasks.read_table import read_table
from genomics_fm.tasks.rows import Rows, of_bases

PROBLEM = Problem("classification", ("0", "1"))


def _drawn(length: int, draw: random.Random) -> str:
    return "".join(draw.choices("ACGT", k=length))


def _labelled(
    count: int, locus: Callable[[int], str] = "row {}".format, split: list[str] | None = None, family: int = 1
) -> Labelled:
    """Rows of two classes; each `family` of them in a row are nearly the same sequence."""
    draw = random.Random(count)
    sequences: list[str] = []
    for row in range(count):
        founder = _drawn(120, draw) if row % family == 0 else sequences[row - row % family]
        sequences.append(founder[:60] + draw.choice("ACGT") + founder[61:] if row % family else founder)
    labels = np.array([row // family % 2 for row in range(count)], np.int64)
    rows = Rows(sequences, labels, [locus(row) for row in range(count)], np.arange(count))
    return Labelled(rows, PROBLEM, {"name": "planted", "source": "drawn"}, split)


def _rows_of(made: task.Task) -> list[str]:
    return [locus for rows in made.splits.values() for locus in rows.locus]


def test_clusters_stay_together_and_every_row_is_somewhere() -> None:
    labelled = _labelled(600, family=4)
    made = splits.divide(labelled, seed=3)
    assert made.about["split"]["how"] == "cluster" and made.name == "planted"
    assert sorted(_rows_of(made)) == sorted(labelled.rows.locus)
    where = {locus: split for split, rows in made.splits.items() for locus in rows.locus}
    for row in range(0, 600, 4):
        assert len({where[f"row {row + member}"] for member in range(4)}) == 1
    shares = [len(made.splits[split]) / 600 for split in ("validation", "test")]
    assert all(abs(share - 0.15) < 0.02 for share in shares)
    assert made.about["split"]["clusters"] == {"number": 150, "largest": 4}
    assert made.about["audit"]["grade"] == "none" and made.about["source"] == "drawn"
    assert len(np.unique(made.test.block)) * 4 == len(made.test)
    again = splits.divide(labelled, seed=3)
    assert again.hashes == made.hashes != splits.divide(labelled, seed=4).hashes


@pytest.mark.parametrize("family", [3, 7])
def test_a_calibration_split_is_not_lost_to_clusters_that_do_not_add_up(family: int) -> None:
    made = splits.divide(_labelled(1050, family=family))
    assert 100 <= len(made.splits["calibration"]) <= 120


def test_what_no_test_row_measures_is_said() -> None:
    plain = _labelled(300)
    values = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    official = ["train"] * 200 + ["validation"] * 50 + ["test"] * 50
    values[250:, 1] = np.nan
    rows = dataclasses.replace(plain.rows, labels=values)
    made = splits.divide(Labelled(rows, Problem("regression", ("dev", "hk")), {}, official))
    assert "test has no value of: hk" in made.about["split"]["said"]


def test_what_the_source_says_belongs_together_does() -> None:
    labelled = _labelled(300)
    rows = Rows(labelled.rows.sequences, labelled.rows.labels, labelled.rows.locus, np.arange(300) // 2 % 75)
    made = splits.divide(Labelled(rows, PROBLEM))
    where = {locus: split for split, of in made.splits.items() for locus in of.locus}
    assert all(where[f"row {row}"] == where[f"row {row + 1}"] == where[f"row {row + 150}"] for row in range(0, 150, 2))


def _grouped(labelled: Labelled, group: Callable[[int], int]) -> Labelled:
    rows = dataclasses.replace(labelled.rows, block=np.array([group(row) for row in range(len(labelled.rows))]))
    return dataclasses.replace(labelled, rows=rows)


def _groups(made: task.Task, group: Callable[[int], int]) -> dict[str, set[int]]:
    """Groups of each split; `group` of a row that begins at 1,000 times its argument."""
    return {
        split: {group(int(one.split("-")[1][:-2]) // 1000) for one in of.locus} for split, of in made.splits.items()
    }


def _placed(row: int, contigs: int) -> str:
    return f"chr{row % contigs}:{row * 1000}-{row * 1000 + 120}:+"


def test_groups_that_span_contigs_are_not_divided() -> None:
    labelled = _grouped(_labelled(1600, lambda row: _placed(row, 8)), lambda row: row // 3 % 50)
    made = splits.divide(labelled)
    assert made.about["split"]["how"] == "cluster"
    found = _groups(made, lambda row: row // 3 % 50)
    assert sum(map(len, found.values())) == 50 and len(set.union(*found.values())) == 50
    assert len(np.unique(made.test.block)) == len(found["test"])
    for how in ("contig", "blocks"):
        with pytest.raises(InputError, match=f"split by {how}: groups of rows span .*; split by cluster"):
            splits.divide(labelled, how)  # type: ignore[arg-type]


def test_groups_within_contigs_are_carved_and_drawn_whole() -> None:
    def group(row: int) -> int:
        return row % 20 + 20 * (row // 200)  # ten neighbours on a contig, which lie on two stretches of 100 kb

    made = splits.divide(_grouped(_labelled(2000, lambda row: _placed(row, 20)), group))
    assert made.about["split"]["how"] == "contig" and made.calibration is not None
    found = _groups(made, group)
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 200
    assert len(np.unique(made.test.block)) == len(found["test"])


def test_blocks_that_share_a_group_go_together() -> None:
    labelled = _labelled(2400, lambda row: f"20:{row * 50_000}-{row * 50_000 + 120}:+")
    made = splits.divide(_grouped(labelled, lambda row: row % 1200))
    assert made.about["split"]["how"] == "blocks" and made.calibration is not None
    found = _groups(made, lambda thousand: thousand // 50 % 1200)
    assert sum(map(len, found.values())) == len(set.union(*found.values())) > 1100


@pytest.mark.parametrize("spread", [1, 80])
def test_groups_are_carved_whole_from_official_training_rows(spread: int) -> None:
    """Rows of a group are on four contigs; where they are spread besides, groups bind all stretches together."""

    def group(row: int) -> int:
        return row // 320 * 80 + (row // 4 if spread == 1 else row) % 80

    names = ["train"] * 1280 + ["test"] * 320
    made = splits.divide(_grouped(_labelled(1600, lambda row: _placed(row, 8), names), group))
    assert made.about["split"]["how"] == "official" and len(made.validation) > 100
    found = _groups(made, group)
    assert not found["train"] & found["validation"] and not set(made.train.block) & set(made.validation.block)
    assert len(np.unique(made.test.block)) == len(found["test"]) == 80


def test_a_family_of_more_than_a_fifth_is_refused_by_cluster() -> None:
    with pytest.raises(InputError, match="largest cluster of similar sequences holds 25 of 100"):
        splits.divide(_labelled(100, family=25))


def test_official_splits_are_kept_and_graded() -> None:
    names = ["Train"] * 150 + ["dev"] * 20 + ["TEST"] * 30
    labelled = _labelled(200, split=names)
    labelled.rows.sequences[190] = labelled.rows.sequences[5]
    made = splits.divide(labelled)
    assert [len(made.splits[split]) for split in ("train", "validation", "test")] == [150, 20, 30]
    assert made.about["split"]["how"] == "official" and made.about["split"]["said"] == []
    assert made.about["audit"]["verdict"].startswith("official split leaks: 1 of 30")
    assert made.about["audit"]["rows_in_train"] == [20]
    assert list(audit.clean_rows(made)) == [*range(20), *range(21, 30)]


def test_official_test_rows_alone_get_a_validation_split_from_training() -> None:
    names = ["train"] * 400 + ["test"] * 100
    made = splits.divide(_labelled(500, split=names, family=2))
    assert made.test.locus == [f"row {row}" for row in range(400, 500)]
    assert len(made.validation) == pytest.approx(400 * 0.15 / 0.85, abs=2)
    assert made.about["split"]["said"] == ["no official validation rows: drawn from training"]
    assert not set(made.validation.block) & set(made.train.block)


def test_official_training_rows_count_as_such_whatever_we_draw_from_them() -> None:
    labelled = _labelled(1600, split=["train"] * 1500 + ["test"] * 100)
    for row in range(100):  # every test row is some training row
        labelled.rows.sequences[1500 + row] = labelled.rows.sequences[15 * row]
    made = splits.divide(labelled)
    assert made.about["split"]["carved"] == ["validation", "calibration"] and made.calibration is not None
    assert made.about["audit"]["counts"]["A"] == 100 and audit.audit(made).near.min() >= 0


def test_validation_is_drawn_where_official_test_rows_lie_everywhere() -> None:
    names = ["test" if row % 5 == 0 else "train" for row in range(400)]
    labelled = _labelled(400, lambda row: f"chr1:{row * 10_000}-{row * 10_000 + 120}:+", names)
    made = splits.divide(labelled)
    assert len(made.validation) == pytest.approx(320 * 0.15 / 0.85, abs=10) and len(made.test) == 80
    assert not set(made.validation.block) & set(made.train.block)


def test_official_calibration_rows_are_kept_as_they_are() -> None:
    labelled = _labelled(300, split=["train"] * 200 + ["cal"] * 40 + ["test"] * 60)
    labelled.rows.sequences[210] = labelled.rows.sequences[3]
    made = splits.divide(labelled)
    assert made.splits["calibration"].locus == [f"row {row}" for row in range(200, 240)]
    assert len(made.train) + len(made.validation) == 200 - made.about["split"]["dropped_like_training"]


def test_without_official_training_rows_the_validation_rows_are_trained_on() -> None:
    made = splits.divide(_labelled(300, split=["dev"] * 200 + ["test"] * 100))
    assert len(made.train) + len(made.validation) == 200 and len(made.test) == 100
    assert "validation rows are trained on" in made.about["split"]["said"][0]


@pytest.mark.parametrize(
    ("names", "how", "error"),
    [
        (["train"] * 9 + ["exam"], "auto", "split 'exam' is not known"),
        (["train"] * 10, "official", "needs rows of test"),
        (None, "official", "names no splits"),
        (None, "blocks", "loci do not say where"),
        (None, "rows", "one of auto, official"),
    ],
)
def test_what_cannot_be_done_is_said(names: list[str] | None, how: splits.How, error: str) -> None:
    with pytest.raises(InputError, match=error):
        splits.divide(_labelled(10, split=names), how)


def test_too_few_independent_test_rows_for_an_interval_are_said() -> None:
    names = ["train"] * 160 + ["dev"] * 20 + ["test"] * 20
    for size, said in (
        (2, []),
        (5, ["test has 4 independent blocks of rows: too few to claim anything from an interval"]),
    ):
        made = splits.divide(_labelled(200, split=names, family=size))
        assert made.about["split"]["said"] == said
        assert len(np.unique(made.test.block)) == 20 // size


def test_one_class_is_refused() -> None:
    labelled = _labelled(30)
    rows = Rows(labelled.rows.sequences, np.zeros(30, np.int64), labelled.rows.locus, labelled.rows.block)
    with pytest.raises(InputError, match="rows of one class only"):
        splits.divide(Labelled(rows, PROBLEM))


def test_contigs_are_held_out_whole() -> None:
    made = splits.divide(_labelled(400, lambda row: f"chr{row % 20}:{row * 1000}-{row * 1000 + 120}:+"))
    assert made.about["split"]["how"] == "contig"
    contigs = {split: {locus.split(":")[0] for locus in rows.locus} for split, rows in made.splits.items()}
    assert sum(map(len, contigs.values())) == len(set.union(*contigs.values())) == 20
    assert set(made.about["split"]["held_out"]["test"]) == contigs["test"]


def test_blocks_have_gaps_and_their_names_are_recorded() -> None:
    spaced = _labelled(1200, lambda row: f"20:{row * 50_000}-{row * 50_000 + 120}:.")
    made = splits.divide(spaced)
    described = made.about["split"]
    assert described["how"] == "blocks"
    starts = {split: np.array([int(one.split(":")[1].split("-")[0]) for one in rows.locus])
              for split, rows in made.splits.items()}  # fmt: skip
    for split in ("validation", "test"):
        names = [f"20:{block * 5_000_000}-{(block + 1) * 5_000_000}" for block in np.unique(starts[split] // 5_000_000)]
        assert described["held_out"][split] == names
        others = np.concatenate([starts[other] for other in starts if other != split and other != "calibration"])
        apart = np.abs(starts[split][:, None] - others[None]).min()
        assert apart >= parts.GAP_BP - 120
    gone = 1200 - sum(map(len, made.splits.values()))
    assert gone == described["dropped_in_gaps"] > 0
    assert not set(made.train.block) & set(made.test.block)
    assert len(np.unique(made.test.block)) > 20  # bootstrapped by 100 kb, not by block of 5 Mb


def test_two_contigs_or_few_blocks_fall_back_to_clusters() -> None:
    made = splits.divide(_labelled(200, lambda row: f"chr{row % 2}:{row * 1_000}-{row * 1000 + 120}:+"))
    assert made.about["split"]["how"] == "cluster"


def test_transcripts_as_contigs_are_divided_by_cluster() -> None:
    made = splits.divide(_labelled(200, lambda row: f"NM_{row // 4}:{row % 4 * 120}-{row % 4 * 120 + 120}:+"))
    assert made.about["split"]["how"] == "cluster"


def test_calibration_is_neither_validation_nor_test_and_absent_where_small() -> None:
    made = splits.divide(_labelled(2000, family=2))
    assert made.calibration is not None and 100 <= len(made.calibration) <= 150
    assert not set(made.calibration.block) & set(made.train.block)
    assert splits.divide(_labelled(700)).calibration is None


def test_repeats_on_other_contigs_do_not_leak_into_what_we_hold_out() -> None:
    labelled = _labelled(400, lambda row: f"chr{row % 20}:{row * 1000}-{row * 1000 + 120}:+")
    for row in range(0, 400, 7):  # coprime to the contigs: copies on all of them
        labelled.rows.sequences[row] = labelled.rows.sequences[0]
    made = splits.divide(labelled)
    assert made.about["split"]["how"] == "contig" and made.about["audit"]["counts"]["A"] == 0
    assert audit.audit(made).counts["A"] == 0  # as the division says, which does not look twice
    assert made.about["split"]["dropped_like_training"] == 400 - sum(map(len, made.splits.values())) > 5


def test_several_targets_and_labels_a_base_are_divided_too() -> None:
    plain = _labelled(300).rows
    numbers = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    targets = Labelled(Rows(plain.sequences, numbers, plain.locus, plain.block), Problem("regression", ("dev", "hk")))
    made = splits.divide(targets, name="activity")
    assert made.name == "activity" and made.test.labels.shape == (len(made.test), 2)


def test_joined_groups_are_connected_components() -> None:
    first, second = np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 1, 2, 2, 3])
    assert parts.joined(first, second).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_what_training_rows_do_not_measure_is_refused(kind: Kind) -> None:
    plain = _labelled(300, split=["train"] * 200 + ["dev"] * 40 + ["test"] * 60)
    labels = np.random.default_rng(0).integers(0, 2, (300, 3)).astype(np.float32)
    labels[:200, 1] = np.nan
    rows = dataclasses.replace(plain.rows, labels=labels)
    with pytest.raises(InputError, match=r"split by official: no row of train has a value of: b; leave that out"):
        splits.divide(Labelled(rows, Problem(kind, ("a", "b", "c")), split=plain.split))


def test_training_rows_without_a_class_of_any_base_are_refused() -> None:
    plain = _labelled(300, split=["train"] * 200 + ["dev"] * 40 + ["test"] * 60)
    bases = of_bases([np.full(120, UNLABELLED if row < 200 else row % 2, np.int8) for row in range(300)])
    rows = dataclasses.replace(plain.rows, labels=bases)
    with pytest.raises(InputError, match="no base of train has a class"):
        splits.divide(Labelled(rows, Problem("per-base", ("i", "e")), split=plain.split))


def test_the_example_is_divided_by_chromosome() -> None:
    labelled = read_table(str(Path(__file__).parents[2] / "examples" / "labels.csv"))
    made = splits.divide(labelled)
    assert np.bincount(labelled.rows.labels).tolist() == [250, 250]
    assert (made.about["split"]["how"], made.about["audit"]["grade"]) == ("contig", "none")
    contigs = [{locus.split(":")[0] for locus in rows.locus} for rows in made.splits.values()]
    assert sum(map(len, contigs)) == len(set.union(*contigs)) > 10

"""Heads of several classes, of labels, of numbers and of bases, and of probes: saved, loaded, asked, written down."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.inference.card import HeadCard, read_card
from genomics_fm.inference.export import export
from genomics_fm.inference.head import load_head, read_validation, save_head
from genomics_fm.inference.new_card import new_card, thresholds
from genomics_fm.inference.predict import PredictSettings, predict_file, schema
from genomics_fm.inference.predicted import read_predicted
from genomics_fm.inference.prediction import answer
from genomics_fm.inference.pyfunc import PyfuncHead
from genomics_fm.tasks.calibration import Calibration
from genomics_fm.tasks.metrics import mcc
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two, score
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import mean_of_strands
from genomics_fm.tasks.task import SPLITS, Task
from tests.heads import random_sequences, rows_of, tiny_vocabulary, validation_rows, write_head

CLASSES = Problem("classification", ("exon", "intron", "other"))
LABELS = Problem("multilabel", ("open", "bound", "marked"))
NUMBERS = Problem("regression", ("slope", "height"))
BASES = Problem("per-base", ("out", "in", "edge"))
PROBLEMS = (CLASSES, LABELS, NUMBERS, BASES)
SEQUENCES = random_sequences(9, seed=3, low=20)


def made(folder, problem, **changes):
    changes = {"prevalence": (), "length_bp": (20, 300), "rows": rows_of(problem)} | changes
    return load_head(write_head(folder, problem=problem, **changes))


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    return {problem.kind: made(folder / problem.kind, problem) for problem in PROBLEMS}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_a_head_of_any_kind_comes_back_and_says_what_its_module_says(heads, problem):
    head, rows = heads[problem.kind], rows_of(problem)
    loaded = read_validation(head.folder)
    for ours, theirs in ((loaded.labels, rows.labels), (loaded.predictions, rows.predictions)):
        assert ours.dtype == theirs.dtype
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    assert head.card.problem == problem
    mean = mean_of_strands(head.strands(SEQUENCES))
    for prediction, row, sequence in zip(head.predict(SEQUENCES), mean, SEQUENCES, strict=True):
        np.testing.assert_allclose(prediction.values, row, atol=1e-6)
        turned = head.predict([reverse_complement(sequence)])[0].values
        mirrored = turned[::-1] if problem.kind == "per-base" else turned
        np.testing.assert_allclose(mirrored, prediction.values, atol=1e-5)
        assert prediction.reverse_complement_gap > 0


def test_what_a_prediction_says(heads):
    for prediction in heads["classification"].predict(SEQUENCES):
        place = int(np.argmax(prediction.values))
        assert (prediction.label, prediction.probability) == (CLASSES.names[place], prediction.values[place])
        assert prediction.values.sum() == pytest.approx(1)
        assert prediction.possible is None
    found = heads["multilabel"].predict(SEQUENCES)
    assert {len(prediction.labels) for prediction in found} != {0}
    for prediction in found:
        assert prediction.label is None
        assert prediction.labels == tuple(n for n, v in zip(LABELS.names, prediction.values, strict=True) if v >= 0.5)
    for prediction, sequence in zip(heads["per-base"].predict(SEQUENCES), SEQUENCES, strict=True):
        assert prediction.values.shape == (len(sequence), 3)
        assert prediction.labels == tuple(BASES.names[place] for place in prediction.values.argmax(1))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_answers_and_tables_hold_the_same(heads, problem, tmp_path):
    head = heads[problem.kind]
    source = tmp_path / "in.fa"
    source.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    predict_file(head, str(source), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    answers = PyfuncHead(head).predict(SEQUENCES)
    assert answers == json.loads(json.dumps(answers, allow_nan=False))
    for row, said in zip(table, answers, strict=True):
        for key in set(said) & {"label", "labels"}:
            assert row[key] == said[key]
        for what, by_name in (("probability", said.get("probabilities")), ("value", said.get("values"))):
            for name, number in (by_name or {}).items():
                assert row[f"{what}/{name}"] == pytest.approx(number, abs=1e-5)
        if "probability" in said:
            assert row["probability"] == pytest.approx(said["probability"], abs=1e-5)
        assert row["strand_gap"] == pytest.approx(said["strand_gap"], abs=1e-5)
        assert row["warning"] == ""


def test_a_probe_has_no_dense_layer(tmp_path):
    probe = made(tmp_path / "probe", CLASSES, dense=False)
    assert not hasattr(probe.module, "pooler")
    dense = write_head(tmp_path / "dense", problem=CLASSES, prevalence=(), rows=rows_of(CLASSES))
    value = json.loads((dense / "config.json").read_text()) | {"dense": False}
    (dense / "config.json").write_text(json.dumps(value))
    with pytest.raises(CorruptArtefact, match=r"config\.json: does not match"):
        load_head(dense)


def test_a_card_or_rows_of_another_problem_are_refused(heads, tmp_path):
    head = heads["classification"]
    with pytest.raises(InputError, match="outputs are not those"):
        save_head(tmp_path / "a", head.module, heads["regression"].card, tiny_vocabulary(), rows_of(NUMBERS))
    with pytest.raises(InputError, match="predictions"):
        save_head(tmp_path / "b", head.module, head.card, tiny_vocabulary(), validation_rows(0.8))
    (tmp_path / "rows.parquet").write_bytes(rows_of(NUMBERS).to_parquet())
    with pytest.raises(CorruptArtefact, match="not predictions of this problem"):
        read_predicted(tmp_path / "rows.parquet", LABELS)
    whole = (tmp_path / "rows.parquet").read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole[:40] + bytes(80) + whole[120:]):
        (tmp_path / "broken.parquet").write_bytes(broken)
        with pytest.raises(CorruptArtefact, match=r"broken\.parquet"):
            read_predicted(tmp_path / "broken.parquet", NUMBERS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prevalence": (0.5, 0.5)}, "prevalence: 2 numbers; give 3"),
        ({"thresholds": (0.5, 0.5, 0.5)}, "thresholds: 3 numbers; give 1"),
        ({"length_bp": (0, 5)}, "length_bp"),
        ({"calibration": Calibration(LABELS, 200, (0.1, 0.2, 0.3))}, "of another problem"),
    ],
)
def test_a_card_whose_parts_disagree_is_refused(heads, change, words):
    with pytest.raises(InputError, match=words):
        dataclasses.replace(heads["classification"].card, **change)


def test_a_calibrated_head_of_classes_names_what_is_possible(tmp_path):
    shares = (0.2, 0.3, 0.5)
    wide, narrow = (Calibration(CLASSES, 200, shares, temperature=2.0, radius=(radius,)) for radius in (0.999, 0.0))
    plain = made(tmp_path / "plain", CLASSES)
    for calibration in (wide, narrow):
        head = made(tmp_path / f"{calibration.radius}", CLASSES, calibration=calibration, prevalence=shares)
        for before, after in zip(plain.predict(SEQUENCES), head.predict(SEQUENCES), strict=True):
            flat = np.sqrt(before.values) / np.sqrt(before.values).sum()
            np.testing.assert_allclose(after.values, flat, atol=1e-5)
            expected = [n for n, p in zip(CLASSES.names, flat, strict=True) if 1 - p <= calibration.radius[0]]
            assert after.possible == tuple(expected or [after.label])
            assert answer(CLASSES, after)["possible"] == list(after.possible)
    assert any(len(p.possible) > 1 for p in load_head(tmp_path / "(0.999,)").predict(SEQUENCES))
    assert "possible" in schema(head.card).names
    assert "possible" not in schema(plain.card).names


def test_a_calibrated_head_of_numbers_gives_intervals(tmp_path):
    head = made(tmp_path / "head", NUMBERS, calibration=Calibration(NUMBERS, 200, (0.0, 0.0), radius=(0.5, 2.0)))
    source = tmp_path / "in.fa"
    source.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    predict_file(head, str(source), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for prediction, row in zip(head.predict(SEQUENCES), table, strict=True):
        np.testing.assert_allclose(prediction.interval - prediction.values[:, None], [[-0.5, 0.5], [-2, 2]], atol=1e-6)
        low, high = answer(NUMBERS, prediction)["intervals"]["height"]
        assert (row["low/height"], row["high/height"]) == pytest.approx((low, high), abs=1e-5)


def test_priors_undo_weights_and_shift_the_odds(tmp_path):
    """Bayes: with w the training weight of positives and π their share, odds under a prior q."""
    shares, weights = (0.1, 0.4, 0.2), (8.0, 1.0, 1.0)
    plain = made(tmp_path / "plain", LABELS)
    head = made(tmp_path / "head", LABELS, prevalence=shares, weights=weights)
    raw = np.array([p.values for p in plain.predict(SEQUENCES)])
    trained = np.array([p.values for p in head.predict(SEQUENCES)])
    odds = raw / (1 - raw) / weights
    np.testing.assert_allclose(trained, odds / (1 + odds), atol=1e-5)
    asked = np.array([p.values for p in head.predict(SEQUENCES, prior={"open": 0.01})])
    odds[:, 0] *= (0.01 / 0.99) / (0.1 / 0.9)
    np.testing.assert_allclose(asked, odds / (1 + odds), atol=1e-5)


def test_a_prior_of_two_classes(tmp_path):
    head = load_head(write_head(tmp_path / "head", prevalence=(0.8, 0.2)))
    before = np.array([p.probability for p in head.predict(SEQUENCES)])
    rare = np.array([p.probability for p in head.predict(SEQUENCES, prior=0.01)])
    odds = before / (1 - before) * (0.01 / 0.99) / (0.2 / 0.8)
    np.testing.assert_allclose(rare, odds / (1 + odds), atol=1e-6)
    same = [p.probability for p in head.predict(SEQUENCES, prior={"intergenic": 0.8, "coding": 0.2})]
    np.testing.assert_allclose(same, before, atol=1e-6)


def test_warnings_name_a_composition_unlike_the_training_data(tmp_path):
    head = load_head(write_head(tmp_path / "head", gc=(0.3, 0.6), length_bp=(100, 300)))
    usual, rich, short = head.predict(["ACGT" * 50, "GGCG" * 50, "ACGTT" * 10])
    assert usual.warnings == ()
    assert rich.warnings == ("100.0% G+C; nearly all training sequences have 30.0% to 60.0%",)
    assert short.warnings == ("50 nt; the head was trained on 100 to 300 nt",)
    assert head.predict(["N" * 200])[0].warnings == ("100% of the letters are N",)


def test_a_head_trained_on_long_sequences_takes_four_times_as_long_ones(tmp_path):
    head = load_head(write_head(tmp_path / "head", length_bp=(500, 600)))
    assert head.predict(["ACGTTGCA" * 300])[0].warnings == ("2,400 nt; the head was trained on 500 to 600 nt",)
    with pytest.raises(InputError, match="give sequences of 10 to 2,400 nt"):
        head.predict(["A" * 2401])


def test_bf16_says_nearly_the_same(heads, tmp_path):
    source = tmp_path / "in.fa"
    source.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    found = {}
    for dtype in ("fp32", "bf16"):
        predict_file(heads["regression"], str(source), tmp_path / dtype, settings=PredictSettings(dtype=dtype))
        found[dtype] = pq.read_table(tmp_path / dtype)["value/slope"].to_numpy()
    np.testing.assert_allclose(found["bf16"], found["fp32"], atol=0.05 * np.ptp(found["fp32"]) + 0.02)
    assert not np.array_equal(found["bf16"], found["fp32"])
    with pytest.raises(InputError, match="dtype fp16: give fp32 or bf16"):
        PredictSettings(dtype="fp16")


def test_the_card_says_data_licence_audit_and_calibration(tmp_path):
    calibration = Calibration(CLASSES, 150, (0.2, 0.3, 0.5), radius=(0.8,))
    coverage = {"all": {"rows": 90, "coverage": 0.91, "size": 1.4}}
    folder = write_head(
        tmp_path / "head", problem=CLASSES, prevalence=(0.2, 0.3, 0.5), rows=rows_of(CLASSES), calibration=calibration,
        data={"source": "https://example.org/x", "licence": "CC0", "citation": "Doe 2020", "counts": {"rows": 3},
              "split": {"how": "cluster", "seed": 1}, "note": ""},
        audit={"grade": "A", "verdict": "official split leaks: 3 of 90 test rows are in the training rows"},
        metrics={
            "validation": {"mcc": 0.5}, "test": {"mcc": 0.4, "auroc/exon": 0.9}, "interval": [0.3, 0.5],
            "baselines": {"6-mer": 0.7},
            "calibration": {"error_before": 0.2, "error_after": 0.05, "coverage": coverage},
        },
    )  # fmt: skip
    text = (folder / "README.md").read_text()
    for part in (
        "not for clinical decisions", "which of 3 classes", "`exon`, `intron`, `other`", "| licence | CC0 |",
        "| citation | Doe 2020 |", "| split | cluster |",
        "| leaks from test into training | official split leaks: 3 of 90",
        "calibrated on 150 rows", "sets of classes hold the answer for 90%", "| test calibration error after | 0.05 |",
        "| test coverage, all | 0.91 |", "| test mcc, 95 % interval | 0.300 to 0.500 |",
        "**The baseline `6-mer` is better than this head on validation.**",
    ):  # fmt: skip
        assert part in text, part
    assert "auroc/exon" not in text
    assert "| note |" not in text
    card = read_card(folder / "config.json")
    assert card == HeadCard(**vars(card))
    assert card.calibration == calibration
    assert card.scores() == {"validation_mcc": 0.5, "test_mcc": 0.4}


def test_an_export_names_the_kind_and_refuses_what_it_has_no_class_for(heads, tmp_path):
    for kind, problem_type in (("multilabel", "multi_label_classification"), ("regression", "regression")):
        head = heads[kind]
        export(head.folder, tmp_path / kind)
        config = json.loads((tmp_path / kind / "config.json").read_text())
        assert config["problem_type"] == problem_type
        assert tuple(config["id2label"].values()) == head.card.problem.names
        assert "The strand carries no meaning" in (tmp_path / kind / "README.md").read_text()
    probe = write_head(tmp_path / "probe", problem=CLASSES, prevalence=(), rows=rows_of(CLASSES), dense=False)
    for folder in (probe, heads["per-base"].folder):
        with pytest.raises(InputError, match="has no class in the export"):
            export(folder, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_card_of_a_trial(heads, tmp_path):
    """Prevalence, composition and thresholds are those of the task; calibration is fitted on its calibration split."""
    head, draw = heads["classification"], np.random.default_rng(0)
    sequences = ["".join(draw.choice(list("ACGT"), 40, p=[0.4, 0.1, 0.1, 0.4])) for _ in range(400)]
    labels = np.array([0, 0, 0, 1] * 100)
    rows = Rows(sequences, labels, [f"r{i}" for i in range(400)], np.arange(400))
    splits = {name: rows.take(np.arange(100 * i, 100 * i + 100)) for i, name in enumerate(SPLITS)}
    about = {"licence": "CC0", "audit": {"grade": "none", "verdict": "fine", "rows_in_train": [1]}}
    task = Task("made", Problem("classification", ("no", "yes")), splits, about)
    guesses = {name: of_two(draw.random(100)) for name in SPLITS[1:]}
    result = score(
        task.problem, task.validation, task.test, name="x", validation_predictions=guesses["validation"],
        test_predictions=guesses["test"], calibration_predictions=guesses["calibration"], labels_seen=100, seconds=1.0,
        chosen={},
    )  # fmt: skip
    card = new_card(task, "bpe", head.module, result, weights=[1.0, 3.0], hashes={"encoder": "e"}, training={"seed": 0})
    assert (card.prevalence, card.weights, card.length_bp) == ((0.75, 0.25), (1.0, 3.0), (40, 40))
    assert 0.05 < card.gc[0] < 0.2 < card.gc[1] < 0.4
    answers = card.answers(guesses["validation"])[:, 1]
    at_raw = guesses["validation"][:, 1] >= result.validation["threshold"]
    assert np.array_equal(answers >= card.thresholds[0], at_raw) and card.thresholds[0] < result.validation["threshold"]
    assert card.calibration.rows == 100
    assert card.calibration.radius is not None
    assert {"error_before", "error_after", "coverage"} <= set(card.metrics["calibration"])
    scores, answered = card.metrics["test"], card.answers(guesses["test"])
    assert scores["mcc_at_threshold"] == result.test["mcc_at_threshold"]
    assert scores["mcc"] == mcc(task.test.labels, answered[:, 1] >= 0.5) != result.test["mcc"]
    assert card.metrics["interval"] != list(result.interval)
    assert card.audit == {"grade": "none", "verdict": "fine"}
    assert card.data == {"licence": "CC0"}
    assert card.hashes == {"encoder": "e"} | task.hashes
    path = tmp_path / "config.json"
    path.write_text(json.dumps(card.to_json()))
    assert read_card(path) == card
    without = Task("made", task.problem, {name: splits[name] for name in SPLITS if name != "calibration"})
    plain = new_card(without, "bpe", head.module, result, weights=None, hashes={}, training={})
    assert (plain.thresholds, plain.metrics["interval"]) == ((result.validation["threshold"],), [*result.interval])
    assert plain.metrics["test"] == result.test and plain.calibration is None
    assert not plain.calibrated


@pytest.mark.parametrize(
    ("labels", "answers", "chosen"),
    [
        ([0] * 5 + [1] * 5, [0.1] * 5 + [0.2] * 5, 0.15),
        ([0] * 5 + [1] * 4, [0.1] * 5 + [0.2] * 4, 0.5),  # four positives say nothing
        ([1] * 5 + [0] * 5, [0.1] * 5 + [0.2] * 5, 0.5),  # no threshold does any good
        ([0] * 5 + [1] * 5, [0.3] * 10, 0.5),
    ],
)
def test_thresholds_are_of_what_can_be_told_from_chance(labels, answers, chosen):
    two = Problem("classification", ("no", "yes"))
    assert thresholds(two, np.array(labels), of_two(np.array(answers))) == pytest.approx([chosen])
    several = Problem("multilabel", ("a", "b"))
    columns = np.array([labels, labels], np.float32).T
    columns[:3, 1] = np.nan  # two negatives are left
    given = np.array([answers, answers], np.float32).T
    assert thresholds(several, columns, given) == pytest.approx([chosen, 0.5])


@pytest.mark.parametrize("problem", [Problem("classification", ("no", "yes")), LABELS, Problem("per-base", ("0", "1"))])
def test_labels_are_said_from_their_thresholds_on(tmp_path, problem):
    """Of the probability that is answered: where a prior makes it rarer, the label is rarer."""
    plain = made(tmp_path / "plain", problem, prevalence=(0.5,) * problem.outputs)
    rarer = {problem.names[0]: 0.2} if problem.kind == "multilabel" else 0.2
    first = 0 if problem.kind == "multilabel" else 1  # the output that has the first threshold

    def values(**more):
        return [one.values.reshape(-1, problem.outputs)[:, first:] for one in plain.predict(SEQUENCES, **more)]

    limits = np.median(np.concatenate(values()), axis=0)
    card = dataclasses.replace(plain.card, thresholds=tuple(limits.tolist()))
    save_head(tmp_path / "head", plain.module, card, tiny_vocabulary(), read_validation(plain.folder))
    head, counts = load_head(tmp_path / "head"), []
    for more in {}, {"prior": rarer}:
        expected = [probability >= limits for probability in values(**more)]
        for found, there in zip(head.predict(SEQUENCES, **more), expected, strict=True):
            if problem.kind == "multilabel":
                assert found.labels == tuple(np.array(problem.names)[there[0]])
            else:
                labels = [found.label] if found.labels is None else found.labels
                assert labels == type(labels)(np.array(problem.names)[there[:, 0].astype(int)])
        counts.append(sum(int(there[:, 0].sum()) for there in expected))
    assert counts[1] < counts[0] < sum(map(len, expected))
    assert "is answered from this probability on" in (tmp_path / "head" / "README.md").read_text()


def test_heads_of_format_2_decide_at_one_half(tmp_path):
    two = Problem("classification", ("no", "yes"))
    folder = write_head(tmp_path / "head", problem=two, prevalence=(), rows=rows_of(two), thresholds=(0.9,))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 2}))
    assert (read_card(path).thresholds, read_card(path).format_version) == (None, 3)

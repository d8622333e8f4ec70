"""Linear models against scikit-learn's."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from genomics_fm.errors import EnvironmentFault
from genomics_fm.tasks import linear, metrics, newton
from genomics_fm.tasks.objective import objective_of
from genomics_fm.tasks.problem import Kind, Problem
from genomics_fm.tasks.trial_config import TrialConfig

torch.set_num_threads(1)
ROWS, WIDTH = 200, 5
RANDOM = np.random.default_rng(0)
SCALES = np.array([1.0, 30.0, 0.02, 5.0, 1.0])
FEATURES = RANDOM.normal(size=(ROWS, WIDTH)) * SCALES + [3, -50, 0, 1, 0]
SCALED = (FEATURES - FEATURES.mean(0)) / FEATURES.std(0)
PENALTIES = (1.0, 0.01)


def fitted(kind: Kind, names: tuple[str, ...], labels: np.ndarray, **config: object) -> list[linear.Linear]:
    objective = objective_of(TrialConfig(**config), Problem(kind, names), labels)  # type: ignore[arg-type]
    return [model for _, model in linear.path(objective, FEATURES, labels, PENALTIES)]


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_as_scikit_learn_has_them(weighted: bool) -> None:
    noisy = SCALED[:, 0] + SCALED[:, 1] * 0.5 + RANDOM.normal(size=ROWS)
    labels = np.digitize(noisy, [-0.2, 1.2])
    for penalty, model in zip(
        PENALTIES, fitted("classification", ("a", "b", "c"), labels, class_weights=weighted), strict=True
    ):
        reference = LogisticRegression(
            C=1 / (penalty * ROWS), class_weight="balanced" if weighted else None, tol=1e-8, max_iter=1000
        ).fit(SCALED, labels)
        probability = torch.softmax(torch.from_numpy(model(FEATURES)), -1).numpy()
        np.testing.assert_allclose(probability, reference.predict_proba(SCALED), atol=1e-4)


def test_labels_one_by_one_where_they_were_measured() -> None:
    noisy = SCALED[:, :2] + RANDOM.normal(size=(ROWS, 2))
    labels = (noisy > 0.5).astype(np.float32)
    labels[:60, 1] = np.nan
    model = fitted("multilabel", ("a", "b"), labels)[1]
    for column in (0, 1):
        known = ~np.isnan(labels[:, column])
        reference = LogisticRegression(C=1 / (PENALTIES[1] * known.sum()), tol=1e-8, max_iter=1000)
        reference.fit(SCALED[known], labels[known, column])
        found = 1 / (1 + np.exp(-model(FEATURES)[:, column]))
        np.testing.assert_allclose(found, reference.predict_proba(SCALED)[:, 1], atol=1e-4)


def test_positives_weigh_what_they_are_told_to() -> None:
    labels = (SCALED[:, :1] + RANDOM.normal(size=(ROWS, 1)) > 1).astype(np.float32)
    plain, heavy = (fitted("multilabel", ("a",), labels, pos_weight=weight)[1] for weight in (1.0, 8.0))
    reference = LogisticRegression(C=1 / (PENALTIES[1] * ROWS), class_weight={0: 1, 1: 8}, tol=1e-8, max_iter=1000)
    reference.fit(SCALED, labels[:, 0])
    found = 1 / (1 + np.exp(-heavy(FEATURES)[:, 0]))
    np.testing.assert_allclose(found, reference.predict_proba(SCALED)[:, 1], atol=1e-4)
    assert heavy(FEATURES).mean() > plain(FEATURES).mean() + 1


def test_targets_as_ridge_regression_has_them() -> None:
    targets = (SCALED[:, :2] * [5, 0.1] + RANDOM.normal(size=(ROWS, 2)) * [1, 0.05] + [70, 0]).astype(np.float32)
    targets[50:, 1] = np.nan
    objective = objective_of(TrialConfig(), Problem("regression", ("a", "b")), targets)
    for penalty, model in zip(PENALTIES, fitted("regression", ("a", "b"), targets), strict=True):
        found = objective.values(model(FEATURES))
        for column in (0, 1):
            known = ~np.isnan(targets[:, column])
            reference = Ridge(alpha=penalty * known.sum()).fit(SCALED[known], targets[known, column])
            expected = reference.predict(SCALED)
            np.testing.assert_allclose(found[:, column], expected, atol=1e-4 * np.ptp(expected))


def test_features_that_do_not_vary_or_are_not_numbers() -> None:
    labels = (SCALED[:, 0] > 0).astype(np.int64)
    objective = objective_of(TrialConfig(), Problem("classification", ("a", "b")), labels)
    flat = np.ones((ROWS, 2))
    ((_, model),) = linear.path(objective, flat, labels, (0.1,))
    assert np.isfinite(model(flat)).all()
    flat[3, 0] = float("nan")
    with pytest.raises(EnvironmentFault, match="features are not finite"):
        next(linear.path(objective, flat, labels, (0.1,)))


def test_a_fit_that_ran_out_of_iterations_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = (SCALED[:, 0] + RANDOM.normal(size=ROWS) > 0).astype(np.int64)
    assert [model.converged for model in fitted("classification", ("a", "b"), labels)] == [True, True]
    monkeypatch.setattr(newton, "ITERATIONS", 1)
    assert [model.converged for model in fitted("classification", ("a", "b"), labels)] == [False, False]
    targets = SCALED[:, :1].astype(np.float32)
    assert all(model.converged for model in fitted("regression", ("a",), targets)), "solved, not searched for"


def test_gaps_are_skipped_and_what_no_row_teaches_is_left_out() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(80, 3)).astype(np.float32)
    features[:, 2] = 7  # says nothing, and must not harm
    values = (features[:, :2] @ [[1.0, 0, 0], [0, 2.0, 0]] + [4, 5, 0]).astype(np.float32)
    values[:40, 1], values[:, 2] = np.nan, np.nan
    problem = Problem("regression", ("x", "y", "z"))
    found = chosen(problem, features, values)
    assert np.allclose(found[40:, :2], values[40:, :2], atol=0.01) and np.all(found[:, 2] == 0)
    three = Problem("classification", ("a", "b", "c"))
    labels = np.where(features[:, 0] > 0, 2, 1)
    found = chosen(three, features, labels)
    assert np.array_equal(metrics.decide(three, found), labels) and found[:, 0].max() < 1e-6
    one = chosen(three, features, np.ones(80, np.int64))
    np.testing.assert_allclose(one, np.tile([0, 1, 0], (80, 1)), atol=1e-6)
    two = np.stack([labels == 2, np.zeros(80), np.ones(80)], axis=1).astype(np.float32)
    found = chosen(Problem("multilabel", ("a", "b", "c")), features, two)
    assert np.array_equal(found > 0.5, two == 1)


def chosen(problem: Problem, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Predictions of the model that is best on the training rows themselves."""
    objective = objective_of(TrialConfig(), problem, labels)

    def score(found: np.ndarray) -> float:
        return metrics.evaluate(problem, labels, found)[problem.metric]

    found = linear.choose(objective, features, labels, score, features)
    return linear.predictions(objective, found.model(features))


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_sparse_and_single_precision_and_groups_and_factors_change_rounding_alone(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(1)
    features = sparse.random(300, 40, 0.1, "csr", np.float32, draw)
    signal = features.toarray()[:, :6] @ draw.normal(size=(6, 4)) * 5 + draw.normal(size=(300, 4))
    labels = {
        "classification": signal.argmax(1),
        "multilabel": (signal > 0.5).astype(np.float32),
        "regression": signal.astype(np.float32),
    }[kind]
    objective = objective_of(TrialConfig(), Problem(kind, tuple("abcd")), labels)

    def outputs() -> np.ndarray:
        fits = linear.path(objective, features, labels, PENALTIES)
        return np.stack([model(features) for _, model in fits if model.converged])

    plain = outputs()
    assert len(plain) == len(PENALTIES)
    ways = (
        (newton, "_DOUBLE_ENTRIES", 0),
        (newton, "_DENSE_SHARE", 0),
        (linear, "_GROUP_ENTRIES", 1),
        (newton, "_FACTOR_PAYS", 0),
    )
    for module, name, value in ways:
        monkeypatch.setattr(module, name, value)
        np.testing.assert_allclose(outputs(), plain, atol=2e-3 * np.ptp(plain))

import numpy as np
import pytest

from genomics_fm.artefacts import sha256_file, write_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference import head as head_module
from genomics_fm.inference.predicted import Predicted
from genomics_fm.inference.promotion import decide, validation_score
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import of_two
from genomics_fm.tasks.rows import Rows
from tests.heads import PROBLEM, random_sequences, rows_of, write_head

WITHOUT_DOUBT = (("good", 0, 0.95), ("poor", 1, 0.55))


def test_the_first_needs_no_incumbent(tmp_path):
    decision = decide(write_head(tmp_path / "a", correct=0.5), None)
    assert decision.promote
    assert decision.interval is None


def test_a_clearly_better_head_is_promoted_and_a_worse_one_is_not(tmp_path):
    good = write_head(tmp_path / "good", correct=0.9)
    poor = write_head(tmp_path / "poor", seed=1, correct=0.6)
    up, down = decide(good, poor), decide(poor, good)
    assert up.promote
    assert not down.promote
    assert up.difference == pytest.approx(validation_score(good) - validation_score(poor))
    assert 0 < up.interval[0] < up.difference < up.interval[1]
    assert "above 0" in up.why
    assert "not above 0" in down.why


def test_better_by_chance_is_not_enough(tmp_path):
    a = write_head(tmp_path / "a", seed=2, correct=0.82)
    b = write_head(tmp_path / "b", seed=1, correct=0.80)
    assert validation_score(a) > validation_score(b)
    decision = decide(a, b)
    assert not decision.promote
    assert decision.interval[0] <= 0 < decision.difference


def test_too_few_blocks_promote_nothing(tmp_path):
    folders = [write_head(tmp_path / name, seed=seed, correct=right) for name, seed, right in WITHOUT_DOUBT]
    for blocks, promoted in ((10, True), (9, False)):
        for folder in folders:
            rows = head_module.read_validation(folder)
            block = np.arange(len(rows.labels)) % blocks
            replace_rows(folder, Predicted(rows.locus, block, rows.labels, rows.predictions))
        decision = decide(*folders)
        assert decision.promote is promoted and decision.interval[0] > 0
    assert decision.why.endswith(
        "9 blocks: fewer than 10 independent clusters or places decide nothing, so the champion stays"
    )
    assert decide(folders[0], None).promote


def test_the_test_metric_plays_no_part(tmp_path):
    metrics = {"validation": {"mcc": 0.6}, "test": {"mcc": 0.99}}
    poor = write_head(tmp_path / "a", seed=1, correct=0.6, metrics=metrics)
    good = write_head(tmp_path / "b", correct=0.9, metrics={**metrics, "test": {"mcc": 0.0}})
    assert not decide(poor, good).promote
    assert decide(good, poor).promote


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "promoter"}, "another task"),
        ({"problem": Problem("classification", PROBLEM.names, metric="auroc")}, "another metric"),
        ({"problem": Problem("classification", ("no", "yes"))}, "another problem"),
        ({"hashes": {"validation": "b" * 64}}, "other validation rows"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(tmp_path, change, words):
    good = write_head(tmp_path / "good", correct=0.95)
    champion = write_head(tmp_path / "champion", seed=1, correct=0.55, **change)
    decision = decide(good, champion)
    assert not decision.promote
    assert words in decision.why


def test_a_champion_of_other_rows_is_rescored_on_the_challengers(tmp_path):
    sequences = random_sequences(400, seed=8, low=190, high=210)
    champion = write_head(tmp_path / "champion", hashes={"validation": "b" * 64})
    own = [int(p.probability >= 0.5) for p in head_module.load_head(champion).predict(sequences)]
    columns = head_module.read_validation(champion)
    for labels, expected in ((columns.labels, True), (np.array(own), False)):
        rows = Rows(sequences, np.asarray(labels, np.int64), columns.locus, columns.block)
        challenger = write_head(tmp_path / f"c{expected}", correct=0.9, hashes={"validation": rows.sha256})
        rewrite_labels(challenger, rows.labels)
        decision = decide(challenger, champion, rows)
        assert decision.promote is expected
        assert "re-scored" in decision.why
    with pytest.raises(InputError, match="challenger's are"):
        decide(challenger, champion, rows.take(np.arange(10)))


def rewrite_labels(folder, labels):
    """Give a head other validation labels, of which it gets 90 % right."""
    rows = head_module.read_validation(folder)
    right = (rows.predictions[:, 1] >= 0.5) == rows.labels
    replace_rows(folder, Predicted(rows.locus, rows.block, labels, of_two(np.where(right == labels, 0.9, 0.1))))


def replace_rows(folder, rows):
    """Give a head other validation rows, under the same hash on its card."""
    (folder / "validation.parquet").write_bytes(rows.to_parquet())
    files = {name: sha256_file(folder / name) for name in head_module.FILES}
    write_json(folder / head_module.MANIFEST, {"format_version": 2, "files": files})


def test_rows_that_disagree_under_one_hash_are_corrupt(tmp_path):
    a = write_head(tmp_path / "a")
    b = write_head(tmp_path / "b", seed=1)
    rewrite_labels(b, 1 - head_module.read_validation(b).labels)
    with pytest.raises(CorruptArtefact, match="differ in label"):
        decide(a, b)


def test_a_head_without_validation_rows_or_with_a_foreign_metric_cannot_compete(tmp_path):
    with pytest.raises(InputError, match=r"hashes\.validation"):
        decide(write_head(tmp_path / "a", hashes={}), None)
    with pytest.raises(InputError, match="'pearson'; promotion knows mcc"):
        decide(write_head(tmp_path / "b", problem=Problem("classification", PROBLEM.names, metric="pearson")), None)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("classification", ("a", "b", "c")),
        Problem("multilabel", ("x", "y")),
        Problem("regression", ("slope", "height")),
        Problem("per-base", ("out", "in", "edge")),
    ],
    ids=lambda problem: problem.kind,
)
def test_heads_of_every_kind_compete_by_their_own_metric(tmp_path, problem):
    good, poor = (rows_of(problem, noise, seed) for noise, seed in ((0.1, 1), (0.6, 2)))
    challenger = write_head(tmp_path / "good", problem=problem, prevalence=(), rows=good)
    champion = write_head(tmp_path / "poor", seed=1, problem=problem, prevalence=(), rows=poor)
    assert validation_score(challenger) == pytest.approx(good.score(problem))
    decision = decide(challenger, champion)
    assert decision.promote
    assert decision.difference == pytest.approx(good.score(problem) - poor.score(problem))
    assert f"validation {problem.metric}" in decision.why.replace("MCC", "mcc").replace("AUROC", "auroc")
    assert not decide(champion, challenger).promote

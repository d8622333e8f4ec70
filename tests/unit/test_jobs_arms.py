"""An arm's folder: written once, read ever after, of trials, baselines and the heads that come of them."""

import dataclasses
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.inference.card import better_baselines, read_card
from genomics_fm.inference.card_text import model_card
from genomics_fm.inference.head import load_head, read_validation
from genomics_fm.inference.predicted import read_predicted
from genomics_fm.tasks import baselines, hf_encoder, identities, learning, linear, newton, task, trial
from genomics_fm.tasks.cnn_baseline import CnnConfig
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import arms
from jobs.arms import ArmConfig
from tests.unit.trial_tasks import encoder, task_of

TRIAL = TrialConfig(vocabulary="kmer", updates=4, batch_rows=8, evaluations=4)
FEW = TrialConfig(cap=30)


@pytest.fixture
def config(tmp_path: Path, vocabulary: Ensemble) -> ArmConfig:
    task.save(tmp_path / "task", task_of("classification"))
    return ArmConfig(str(encoder(tmp_path / "encoder", vocabulary)), str(tmp_path / "task"), TRIAL)


def test_a_finished_arm_is_read_and_another_trial_is_run(
    config: ArmConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, told = tmp_path / "arm", []
    arm = arms.run(config, folder, lambda update, loss: told.append(update))
    assert told == [1, 2, 3, 4]
    head = load_head(folder)
    made = task.load(Path(config.task))
    assert arm["rows_seen"] == 32 and len(arm["curve"]) == 4 and arm["head"] == str(folder)
    assert head.card.training["converged"] == arm["converged"]
    assert head.card.hashes["encoder"] == arm["hashes"]["encoder"] and head.card.hashes["test"] == made.test.sha256
    test = read_predicted(folder / arms.TEST, made.problem)
    assert test.locus == made.test.locus and test.score(made.problem) == pytest.approx(arm["test"]["mcc"])
    calibration = read_predicted(folder / arms.CALIBRATION, made.problem)
    assert made.calibration is not None and calibration.locus == made.calibration.locus

    def never(*given: object) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(trial, "run", never)
    assert arms.run(config, folder) == arm
    threads = dataclasses.replace(config, trial=dataclasses.replace(TRIAL, threads=2))
    assert arms.run(threads, folder) == arm
    with pytest.raises(AssertionError, match="run again"):
        arms.run(dataclasses.replace(config, trial=dataclasses.replace(TRIAL, seed=1)), folder)


def test_a_head_that_another_trial_had_begun_to_write_is_not_read_as_the_first_ones(
    config: ArmConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*given: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "arm"
    arms.run(config, folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(arms, "_keep", killed)
        arms.run(dataclasses.replace(config, trial=dataclasses.replace(TRIAL, seed=1)), folder)
    arms.run(config, folder)
    assert read_card(folder / "config.json").training["seed"] == 0


def test_a_changed_summary_is_refused(tmp_path: Path) -> None:
    task.save(tmp_path / "task", task_of("multilabel"))
    arms.run_baseline(tmp_path / "task", "prevalence", tmp_path / "arm")
    path = tmp_path / "arm" / arms.ARM_FILE
    path.write_text(path.read_text().replace("prevalence", "prevalences", 1))
    with pytest.raises(CorruptArtefact, match=r"arm\.json"):
        arms.finished(tmp_path / "arm", "")


@pytest.mark.parametrize("name", [arms.TEST, arms.CALIBRATION])
def test_changed_predictions_are_refused(name: str, tmp_path: Path) -> None:
    task.save(tmp_path / "task", task_of("multilabel"))
    arm = arms.run_baseline(tmp_path / "task", "prevalence", tmp_path / "arm")
    assert arms.finished(tmp_path / "arm", arm["identity"]) == arm
    path = tmp_path / "arm" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptArtefact, match=rf"{name}.*delete"):
        arms.run_baseline(tmp_path / "task", "prevalence", tmp_path / "arm")
    path.unlink()
    with pytest.raises(CorruptArtefact, match=name):
        arms.finished(tmp_path / "arm", arm["identity"])


@pytest.mark.parametrize(
    ("module", "constant", "changed"),
    [
        (identities, "NUMBERS_VERSION", {"trial", "network", "linear", "foreign"}),
        (learning, "PLATEAU", {"trial", "network"}),
        (learning, "LEAST_POINTS", {"trial", "network"}),
        (linear, "PENALTIES", {"trial", "linear", "foreign"}),
        (newton, "ITERATIONS", {"trial", "linear", "foreign"}),
        (newton, "TOLERANCE", {"trial", "linear", "foreign"}),
        (baselines, "KMERS", {"linear"}),
    ],
)
def test_what_decides_numbers_decides_identities(
    module: ModuleType, constant: str, changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task_of("classification")

    def now(vocabulary: str = "v", network: CnnConfig = CnnConfig()) -> dict[str, str]:  # noqa: B008
        return {
            "trial": identities.of_trial(TRIAL, ("e", vocabulary), made),
            "network": identities.of_baseline("CNN", made, 0, 30, network),
            "linear": identities.of_baseline("k-mer logistic", made, 0, 30, network),
            "foreign": identities.of_foreign("hf:them", made, TRIAL),
        }

    before = now()

    def changed_to(after: dict[str, str]) -> set[str]:
        return {name for name, value in after.items() if value != before[name]}

    assert changed_to(now("another")) == {"trial"}
    assert changed_to(now(network=CnnConfig(epochs=3))) == {"network"}
    monkeypatch.setattr(module, constant, 77)
    assert changed_to(now()) == changed


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression", "per-base"])
def test_a_baseline_is_an_arm_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = task_of(kind)  # type: ignore[arg-type]
    task.save(tmp_path / "task", made)
    name = baselines.NAMES[made.problem.kind][0]
    arm = arms.run_baseline(tmp_path / "task", name, tmp_path / "arm")
    predicted = read_predicted(tmp_path / "arm" / arms.TEST, made.problem)
    assert predicted.score(made.problem) == pytest.approx(arm["test"][made.problem.metric])
    assert (tmp_path / "arm" / arms.CALIBRATION).is_file()
    monkeypatch.setattr(baselines, "run", None)
    assert arms.run_baseline(tmp_path / "task", name, tmp_path / "arm") == arm
    with pytest.raises(TypeError):
        arms.run_baseline(tmp_path / "task", name, tmp_path / "arm", seed=1)


def test_a_probe_keeps_the_encoders_states_and_a_card_names_better_baselines(config: ArmConfig, tmp_path: Path) -> None:
    probe = dataclasses.replace(config, trial=dataclasses.replace(TRIAL, how="probe", evaluations=0))
    arm = arms.run(probe, tmp_path / "arm", cache=tmp_path / "features")
    assert arm["converged"] is True and list((tmp_path / "features").iterdir())
    before = read_validation(tmp_path / "arm").predictions
    arms.name_baselines(arm, {"CNN": 2.0, "majority": 0.0})
    assert read_card(tmp_path / "arm" / "config.json").metrics["baselines"] == {"CNN": 2.0, "majority": 0.0}
    assert "`CNN` is better" in (tmp_path / "arm" / "README.md").read_text()
    card = read_card(tmp_path / "arm" / "config.json")
    assert card.metrics["compared"] == arm["validation"]["mcc"]
    with (tmp_path / "arm" / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x55")
    with pytest.raises(CorruptArtefact, match=r"model\.safetensors: does not match"):
        arms.name_baselines(arm, {"CNN": 2.0})
    unweighted = {**card.metrics, "validation": {"mcc": 0.0}, "compared": 0.5, "baselines": {"GC": 0.4, "CNN": 0.5}}
    card = dataclasses.replace(card, metrics=unweighted)  # of weighted classes: at one half it says nothing
    assert not better_baselines(card)
    assert "| validation mcc before calibration, as baselines have it | 0.5 |" in model_card(card)
    assert np.array_equal(read_validation(tmp_path / "arm").predictions, before)


def test_another_peoples_encoder_is_an_arm_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        """Stands in for `hf_encoder.HfEncoder`: counts bases."""

        def __init__(self, name: str, pooling: str) -> None:
            self.name, self.pooling = name, pooling

        def __call__(self, sequences: list[str]) -> np.ndarray:
            return np.array([[text.count(base) / len(text) for base in "ACGT"] for text in sequences], np.float32)

    monkeypatch.setattr(hf_encoder, "load", Counted)
    task.save(tmp_path / "task", task_of("classification"))
    arm = arms.run_foreign(tmp_path / "task", "hf:them", tmp_path / "arm", FEW)
    assert (arm["name"], arm["labels_seen"], arm["capped"]) == ("hf:them", 30, True)
    assert arm["test"]["mcc"] > 0.5 and (tmp_path / "arm" / arms.TEST).is_file()
    monkeypatch.setattr(hf_encoder, "load", None)
    assert arms.run_foreign(tmp_path / "task", "hf:them", tmp_path / "arm", FEW) == arm
    with pytest.raises(InputError, match=r"--trial\.cap 2: leaves a class without any row"):
        arms.run_foreign(tmp_path / "task", "hf:them", tmp_path / "few", TrialConfig(cap=2))
    monkeypatch.setattr(hf_encoder, "load", Counted)
    monkeypatch.setattr(newton, "ITERATIONS", 1)
    assert arms.run_foreign(tmp_path / "task", "hf:them", tmp_path / "short", FEW)["converged"] is False
    assert arm["converged"] is True

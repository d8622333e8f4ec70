import json
import shutil
import threading
import types
from pathlib import Path

import mlflow
import pytest

from genomics_fm.errors import CorruptArtefact, EnvironmentFault, InputError
from genomics_fm.inference.head import load_head
from jobs import register, tracking
from jobs.register import RegisterConfig, resolve
from tests.heads import random_sequences, write_head


@pytest.fixture
def storage(tmp_path, empty_tracking, monkeypatch):
    """A storage folder of its own; MLflow must write nowhere else."""
    (tmp_path / "storage").mkdir()
    shutil.copy(empty_tracking, tmp_path / "storage" / "mlflow.db")
    monkeypatch.setenv("GENOMICS_FM_STORAGE", str(tmp_path / "storage"))
    monkeypatch.delenv("GENOMICS_FM_TRACKING", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield tmp_path / "storage"
    assert list((tmp_path / "cwd").iterdir()) == []


def client():
    return tracking.client(tracking.resolve_uri(None))


def test_heads_compete_for_champion(storage, tmp_path):
    poor = write_head(tmp_path / "poor", correct=0.6)
    first = register.run(RegisterConfig(head=str(poor)))
    assert (first.name, first.version, first.promoted, first.promotions) == ("coding_or_not", "1", True, 1)
    assert first.interval is None

    again = register.run(RegisterConfig(head=str(poor)))
    assert (again.version, again.promoted, again.promotions) == ("1", True, 1)

    worse = register.run(RegisterConfig(head=str(write_head(tmp_path / "worse", seed=1, correct=0.4))))
    assert (worse.version, worse.promoted, worse.promotions) == ("2", False, 1)
    assert "not above 0" in worse.why
    assert resolve("models:/coding_or_not@champion").version == "1"

    good = write_head(tmp_path / "good", seed=2, correct=0.95)
    held_back = register.run(RegisterConfig(head=str(good), promote=False))
    assert (held_back.version, held_back.promoted) == ("3", False)
    better = register.run(RegisterConfig(head=str(good)))
    assert (better.version, better.promoted, better.promotions) == ("3", True, 2)
    assert better.interval[0] > 0
    assert resolve("models:/coding_or_not@champion").version == "3"

    other = write_head(tmp_path / "other", seed=3, correct=0.99, hashes={"validation": "c" * 64})
    refused = register.run(RegisterConfig(head=str(other)))
    assert not refused.promoted
    assert "--validation" in refused.why
    assert client().get_model_version("coding_or_not", refused.version).tags["decision.champion"] == refused.why


def test_what_is_registered_is_the_head_without_a_pickle(storage, tmp_path):
    folder = write_head(tmp_path / "h")
    (folder / "notes.txt").write_text("not part of the head")
    result = register.run(RegisterConfig(head=str(folder), name="mine"))
    located = resolve(result.uri)
    assert (located.name, located.version) == ("mine", "1")
    assert located.folder.is_relative_to(storage)
    assert load_head(located.folder).sha256 == load_head(folder).sha256
    names = {p.name for p in storage.rglob("*") if p.is_file()}
    assert not [n for n in names if n.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib"))]
    assert "notes.txt" not in names

    sequences = random_sequences(3)
    rows = mlflow.pyfunc.load_model(result.uri).predict({"sequence": sequences})
    expected = [p.probability for p in load_head(folder).predict(sequences)]
    assert [r["probability"] for r in rows] == pytest.approx(expected, abs=1e-6)


def test_the_run_records_config_hashes_and_metrics(storage, tmp_path):
    folder = write_head(tmp_path / "h")
    result = register.run(RegisterConfig(head=str(folder)))
    version = client().get_model_version(result.name, result.version)
    assert version.tags["head_sha256"] == load_head(folder).sha256
    assert version.tags["validation_sha256"] == "a" * 64
    run = client().get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"validation_mcc": 0.6, "test_mcc": 0.55}
    assert run.data.params["encoder.width"] == "32"
    assert run.data.tags["sha256.validation"] == "a" * 64
    assert run.info.artifact_uri.startswith(storage.as_uri())


def test_damaged_heads_are_refused_on_both_sides(storage, tmp_path):
    folder = write_head(tmp_path / "h", correct=0.6)
    champion = resolve(register.run(RegisterConfig(head=str(folder))).uri).folder
    (folder / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(CorruptArtefact, match=r"model\.safetensors"):
        register.run(RegisterConfig(head=str(folder)))
    (champion / "validation.parquet").write_bytes(b"changed")
    with pytest.raises(CorruptArtefact, match=r"validation\.parquet"):
        register.run(RegisterConfig(head=str(write_head(tmp_path / "g", seed=1, correct=0.9))))


def test_resolve_takes_a_folder_and_names_what_is_absent(storage, tmp_path):
    folder = write_head(tmp_path / "h")
    located = resolve(str(folder))
    assert (located.folder, located.name) == (folder, "coding_or_not")
    assert load_head(folder).sha256.startswith(located.version)
    register.run(RegisterConfig(head=str(folder)))
    for uri, words in [
        ("models:/absent@champion", "not registered"),
        ("models:/coding_or_not@best", "not registered"),
        ("models:/coding_or_not/9", "no such version"),
        ("models:/coding_or_not", "name@alias"),
        ("models:/coding_or_not@", "name@alias"),
        (str(tmp_path / "absent"), "no such folder"),
    ]:
        with pytest.raises(InputError, match=words):
            resolve(uri)


def test_a_name_mlflow_could_not_search_for_is_refused(storage, tmp_path):
    with pytest.raises(InputError, match="letters, digits"):
        register.run(RegisterConfig(head=str(write_head(tmp_path / "h")), name="it's"))
    with pytest.raises(InputError, match="--head"):
        register.run(RegisterConfig())


@pytest.mark.parametrize("alias", ["v1", "best one", "Latest", ""])
def test_an_alias_mlflow_would_not_take_is_refused_before_anything_is_registered(storage, tmp_path, alias, monkeypatch):
    monkeypatch.setattr(register.tracking, "start", None)
    with pytest.raises(InputError, match="--alias"):
        register.run(RegisterConfig(head=str(write_head(tmp_path / "h")), alias=alias))


def test_a_heads_predictions_are_not_its_tasks_rows(storage, tmp_path):
    first, second = (write_head(tmp_path / name, seed=seed) for seed, name in enumerate("ab"))
    register.run(RegisterConfig(head=str(first), name="one"))
    with pytest.raises(InputError, match=r"a head's predictions; give validation\.parquet of its task's folder"):
        register.run(RegisterConfig(head=str(second), name="one", validation=str(second / "validation.parquet")))


def test_another_store_by_flag_or_variable(storage, tmp_path, monkeypatch):
    folder = write_head(tmp_path / "h")
    elsewhere = f"sqlite:///{tmp_path}/elsewhere/m.db"
    register.run(RegisterConfig(head=str(folder), tracking=elsewhere))
    with pytest.raises(InputError, match="not registered"):
        resolve("models:/coding_or_not@champion")
    monkeypatch.setenv("GENOMICS_FM_TRACKING", elsewhere)
    assert resolve("models:/coding_or_not@champion").version == "1"


def test_a_store_that_is_away_is_a_quick_environment_fault(storage):
    with pytest.raises(EnvironmentFault, match=r"tracking http://127\.0\.0\.1:9"):
        tracking.start("http://127.0.0.1:9", "x")
    with pytest.raises(InputError, match="not understood"):
        tracking.start("somewhere", "x")


def test_metrics_arrive_in_order_and_the_spool_goes(storage):
    session = tracking.start(None, "spool")
    with session.run("many", {"a": {"b": 1}}, {"corpus": "d" * 64}) as run:
        for step in range(1200):
            run.metrics({"loss": 1 / (step + 1), "rate": step}, step)
    history = session.client.get_metric_history(run.run_id, "loss")
    assert [m.step for m in sorted(history, key=lambda m: m.step)] == list(range(1200))
    assert session.client.get_run(run.run_id).data.params == {"a.b": "1"}
    assert not run.spool.exists()


def test_a_store_that_goes_away_costs_a_warning_and_the_spool_stays(storage, capsys):
    session = tracking.start(None, "spool")

    def broken(*_arguments, **_keywords):
        raise mlflow.exceptions.MlflowException("gone")

    with session.run("unlucky") as run:
        run.metrics({"loss": 1.0}, 1)
        session.client.log_batch = broken
        run.metrics({"loss": 0.5}, 2)
    rows = [json.loads(line) for line in run.spool.read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2]
    assert capsys.readouterr().err.count("MLflow failed: gone") == 1


def test_a_failing_run_is_recorded_as_failed(storage):
    session = tracking.start(None, "spool")
    with pytest.raises(ZeroDivisionError), session.run("failing") as run:
        raise ZeroDivisionError
    assert session.client.get_run(run.run_id).info.status == "FAILED"
    assert [t for t in threading.enumerate() if t.name == "mlflow-spool"] == []


def test_downloads_of_two_servers_do_not_mix_and_one_in_use_stays(storage, tmp_path, monkeypatch):
    """A version that lies on no file system here is kept under its content's hash."""

    class Server:
        def __init__(self, sha256):
            self.sha256 = sha256

        def get_model_version_download_uri(self, name, version):
            return f"mlflow-artifacts:/{self.sha256}"

        def get_model_version(self, name, version):
            return types.SimpleNamespace(tags={"head_sha256": self.sha256}, run_id="r")

    model = resolve(register.run(RegisterConfig(head=str(write_head(tmp_path / "h")))).uri).folder
    while not (model / "MLmodel").is_file():
        model = model.parent

    def download(artifact_uri, dst_path, tracking_uri):
        target = shutil.copytree(model, Path(dst_path) / "head")
        (target / "from").write_text(artifact_uri)
        return str(target)

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    one, two = (
        register._fetch(Server(sha256), "http://x", "coding_or_not", "1").folder for sha256 in ("a" * 64, "b" * 64)
    )
    assert one != two
    assert load_head(one).sha256 == load_head(two).sha256
    target = next(path for path in one.parents if (path / "from").is_file())
    register._download("mlflow-artifacts:/again", target, "http://x")
    assert (target / "from").read_text() == f"mlflow-artifacts:/{'a' * 64}"

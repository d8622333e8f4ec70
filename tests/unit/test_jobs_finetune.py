"""What a finetuning is asked for, which arms it has, what it chooses and what it says; no Ray."""

import dataclasses
import inspect
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from genomics_fm.artefacts import write_sealed_json
from genomics_fm.commands.tasks import check
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.tasks import baselines, read_data, registry, task
from genomics_fm.tasks.problem import Problem
from genomics_fm.vocabulary.ensemble import Ensemble
from jobs import arms, finetune, finetune_arms, finetune_task, finetune_text
from jobs.config import parse
from jobs.finetune_arms import Planned
from jobs.finetune_config import FinetuneConfig, data_of, name_of, refuse_contradictions, vocabularies_of
from tests.corpora import dna
from tests.unit.trial_tasks import encoder, task_of

BINARY = Problem("classification", ("no", "yes"))


def asked(*flags: str) -> FinetuneConfig:
    return parse(finetune.PRESETS, flags, "finetune")[0]


def test_flags_of_data_are_those_of_check() -> None:
    options = {name: value.default for name, value in inspect.signature(check).parameters.items()}
    ours = {entry.name: getattr(FinetuneConfig(), entry.name) for entry in dataclasses.fields(FinetuneConfig)}
    for name in set(options) - {"context", "files", "as_json", "debug"}:
        assert ours[name] == options[name], name
    config = asked("--data", "a=x.bed", "b=y.bed", "--as", "tracks", "--genome", "g.fa", "--window", "200")
    data = data_of(config)
    assert (data.files, data.form, data.genome, data.grid) == (
        ("a=x.bed", "b=y.bed"), "tracks", "g.fa", read_data.grid_of(200),
    )  # fmt: skip
    assert data_of(asked("--data", "t.csv", "--targets", "a, b", "--kind", "regression")).layout.targets == ("a", "b")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--data, --task"),
        (("--data", "a.csv", "--task", "x"), "--data, --task"),
        (("--task", "x", "--label", "y"), "--label: belongs to --data"),
        (("--task", "x", "--as", "peaks"), "--as: belongs to --data"),
        (("--data", "a.bed"), "--as labels"),
        (("--data", "a.csv", "--window", "5"), "--window"),
        (("--data", "a.csv", "--as", "picture"), "form"),
        (("--data", "a.csv", "b.csv"), "2 files"),
        (("--data", "a.csv", "--how", "all"), "--how"),
        (("--data", "a.csv", "--seeds", "0"), "--seeds"),
        (("--data", "a.csv", "--trial.vocabulary", "kmer"), "--trial.vocabulary"),
        (("--data", "a.csv", "--trial.device", "cuda"), "give --gpu"),
        (("--data", "a.csv", "--trial.fraction", "0.1"), "give --trial.cap"),
        (("--data", "a.csv", "--lable", "y"), "did you mean --label"),
    ],
)
def test_what_cannot_be_meant_is_refused(flags: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        config = asked(*flags)
        refuse_contradictions(config)
        data_of(config)


def test_names_come_from_files_and_vocabularies_from_the_encoder() -> None:
    assert name_of(asked("--data", "in/my_peaks.csv.gz")) == "my_peaks"
    assert name_of(asked("--data", "in/my peaks (2).csv")) == "my-peaks-2-"
    assert name_of(asked("--data", "A=in/a.fa", "B=b.fa", "--as", "classes")) == "a"
    assert name_of(asked("--task", "gue_emp_H3")) == "gue_emp_H3"
    assert vocabularies_of(asked("--task", "x"), ("bpe", "kmer")) == ("bpe", "kmer")
    assert vocabularies_of(asked("--task", "x", "--vocabulary", "kmer"), ("bpe", "kmer")) == ("kmer",)
    with pytest.raises(InputError, match="the encoder has bpe, kmer"):
        vocabularies_of(asked("--task", "x", "--vocabulary", "bpe,codon"), ("bpe", "kmer"))


def test_updates_follow_the_rows_within_bounds() -> None:
    config = FinetuneConfig()
    assert [config.updates(rows) for rows in (10, 350, 10**6)] == [64, 132, 2000]
    sizes = [config.batch_rows(rows) for rows in (10, 64_000, 64_001, 128_001, 10**6, 10**9)]
    assert sizes == [32, 32, 64, 128, 512, 512]
    for flags in (("--trial.updates", "100"), ("--trial.batch-rows", "16")):
        assert asked("--task", "x", *flags).batch_rows(10**6) in (16, 32), "as asked for"
    large = asked("--task", "x", "--trial.cap", "200_000")
    (trial, *_) = [one.trial for one in finetune_arms.planned(large, "t", BINARY, "e", ["bpe"], 10**6) if one.trial]
    assert trial.updates * trial.batch_rows >= 200_000
    plan = finetune_arms.planned(asked("--preset", "smoke", "--task", "x"), "t", BINARY, "e", ["bpe"], 500)
    assert {one.trial.updates for one in plan if one.trial} == {8}


def test_every_vocabulary_and_seed_starts_from_both_and_every_baseline_is_there() -> None:
    config = asked("--task", "x", "--seeds", "3", "--how", "lora", "--encoder", "hf:here")
    plan = finetune_arms.planned(config, "task", BINARY, "encoder", ["bpe", "kmer"], 350)
    trials = [one.trial for one in plan if one.trial]
    assert len({(t.vocabulary, t.start, t.seed) for t in trials}) == len(trials) == 12
    assert {t.how for t in trials} == {"lora"} and len({one.folder for one in plan}) == len(plan)
    others = [one.name for one in plan if one.trial is None]
    assert others == ["majority", "GC and length", "k-mer logistic", "CNN", "hf:here", "CNN", "CNN"]
    assert [one.seed for one in plan if one.name == "CNN"] == [0, 1, 2]


def test_where_a_seed_draws_its_rows_baselines_are_given_as_many_draws() -> None:
    capped = asked("--data", "x.csv", "--seeds", "2", "--trial.cap", "100", "--encoder", "hf:h")
    plan = finetune_arms.planned(capped, "task", BINARY, "encoder", ["bpe"], 101)
    again = [one for one in plan if one.trial is None and one.seed]
    assert [one.shown for one in again] == [
        "hf:h, seed 1",
        "GC and length, seed 1",
        "k-mer logistic, seed 1",
        "CNN, seed 1",
    ]
    assert [one.foreign.seed for one in plan if one.foreign] == [0, 1]
    assert len({one.folder for one in plan}) == len(plan)
    all_rows = finetune_arms.planned(capped, "task", BINARY, "encoder", ["bpe"], 100)
    assert [one.name for one in all_rows if one.trial is None and one.seed] == ["CNN"]
    assert len({Planned(name, "task").folder for name in ("hf:m/x_y", "hf:m/x-y", "hf:/m/x-y")}) == 3


def test_an_arm_of_other_numbers_is_run_again(
    vocabulary: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task_of("classification")
    task.save(tmp_path / "task", made)
    folder, config = str(encoder(tmp_path / "encoder", vocabulary)), asked("--task", "x", "--encoder", "hf:them")
    plan = finetune_arms.planned(config, str(tmp_path / "task"), made.problem, folder, ["kmer"], 60)
    plan = [one for one in plan if one.name in ("GC and length", "hf:them") or one.trial]
    for one in plan:
        files = {"identity": finetune_arms._identities([one], made, 1)[one.folder], "files": {}, "format_version": 1}
        write_sealed_json(tmp_path / "arms" / one.folder / arms.ARM_FILE, files)
    ran: list[str] = []

    def fake(root: Path, due: list[Planned], config: Any, found: dict[str, Any], on_arm: Any) -> None:
        ran.extend(one.name for one in due)
        found |= {one.folder: {} for one in due}

    monkeypatch.setattr(finetune_arms, "_run", fake)
    monkeypatch.setattr(finetune_arms.launch, "connect", nullcontext)
    heard: list[str] = []
    finetune_arms.run(tmp_path / "arms", plan, made, config, lambda one, arm: heard.append(one.name))
    assert ran == [] and heard == [one.name for one in plan]
    monkeypatch.setattr(baselines, "KMERS", (3,))
    finetune_arms.run(tmp_path / "arms", plan, made, config, lambda one, arm: None)
    assert ran == ["GC and length"]


@pytest.mark.parametrize("lost", ["WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"])
def test_a_worker_that_is_lost_twice_is_one_line(lost: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    def get(reference: object) -> None:
        kind = getattr(ray.exceptions, lost)
        raise kind() if lost == "WorkerCrashedError" else kind("it is gone")

    class Remote:
        def options(self, **_: object) -> "Remote":
            return self

        def remote(self, *_: object) -> str:
            return "reference"

    monkeypatch.setattr(ray, "remote", lambda work: Remote())
    monkeypatch.setattr(ray, "wait", lambda running, num_returns: (running, []))
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(EnvironmentFault, match=r"majority: its worker was lost twice.*same command again"):
        finetune_arms._run(tmp_path, [Planned("majority", "t")], asked("--task", "x"), {}, lambda one, arm: None)


def test_a_table_is_read_divided_and_audited_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a=b" / "labels.csv"
    path.parent.mkdir()
    rows = [f"{dna(60, number)},{number % 2}" for number in range(80)]
    path.write_text("\n".join(["sequence,label", *rows]) + "\n")
    config = asked("--data", str(path))
    folder = finetune_task.task_folder(config, tmp_path / "runs", "labels")
    made = task.load(folder)
    assert made.name == "labels" and made.about["audit"]["grade"] == "none"
    assert finetune_task.task_folder(config, tmp_path / "runs", "labels") == folder
    assert "skipped" in capsys.readouterr().err
    assert finetune_task.with_audit(folder, tmp_path / "runs", None) == folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune_task.splits, "DIVISION_VERSION", 0)
        assert finetune_task.task_folder(config, tmp_path / "runs", "labels") != folder
    text = "\n".join(finetune_text.of_task(made))
    for said in ("labels: classification", "rows: train", "split by cluster", "none of 12 test rows", "0 0.5"):
        assert said in text
    path.write_text(path.read_text().replace(",1", ",2", 1))
    assert finetune_task.task_folder(config, tmp_path / "runs", "labels") != folder


def test_other_names_of_the_same_files_are_other_rows(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        rows = [f">{row}\n{dna(60, 100 * number + row)}" for row in range(60)]
        (tmp_path / f"{name}.fa").write_text("\n".join(rows) + "\n")

    def divided(first: str, second: str) -> task.Task:
        flags = ("--data", f"{first}={tmp_path}/a.fa", f"{second}={tmp_path}/b.fa", "--as", "classes")
        return task.load(finetune_task.task_folder(asked(*flags), tmp_path / "runs", "x"))

    one, turned = divided("neg", "pos"), divided("pos", "neg")
    named = [
        {seq: made.problem.names[y] for seq, y in zip(made.train.sequences, made.train.labels, strict=True)}
        for made in (one, turned)
    ]
    both = named[0].keys() & named[1].keys()
    assert len(both) > 20 and all(named[0][sequence] != named[1][sequence] for sequence in both)


def test_a_published_set_is_what_the_registry_says_of_it_and_its_genome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(one for one in registry.TASKS.values() if one.genome and one.files)
    path = tmp_path / entry.genome
    path.parent.mkdir(parents=True, exist_ok=True)
    config, found = asked("--task", entry.name, "--data-root", str(tmp_path)), []
    for letters in ("A", "C"):
        path.write_text(f">1\n{letters}\n")
        found.append(json.dumps(finetune_task._identity(config)))
    monkeypatch.setattr(registry, "TASKS", {entry.name: dataclasses.replace(entry, only=("column", "value"))})
    found.append(json.dumps(finetune_task._identity(config)))
    assert len(set(found)) == 3


def test_a_task_without_an_audit_gets_one_and_a_folder_without_a_task_is_refused(tmp_path: Path) -> None:
    task.save(tmp_path / "task", task_of("classification"))
    config = asked("--task", str(tmp_path / "task"))
    folder = finetune_task.task_folder(config, tmp_path / "runs", "x")
    assert folder == tmp_path / "task"
    audited = finetune_task.with_audit(folder, tmp_path / "runs", None)
    assert task.load(audited).hashes == task.load(folder).hashes and task.load(audited).about["audit"]["verdict"]
    known = task.load(audited)
    of_another = {**known.about, "audit": {**known.about["audit"], "corpus": "c" * 64}}
    task.save(tmp_path / "other", dataclasses.replace(known, about=of_another))
    again = finetune_task.with_audit(tmp_path / "other", tmp_path / "runs", None)
    assert task.load(again).about["audit"]["corpus"] == "", "what another encoder has read says nothing of this one"
    with pytest.raises(InputError, match="--divide: a task's folder is taken as it is"):
        finetune_task.task_folder(asked("--task", str(folder), "--divide", "cluster"), tmp_path / "runs", "x")
    with pytest.raises(InputError, match="build it"):
        finetune_task.task_folder(asked("--task", f"{tmp_path}/none"), tmp_path / "runs", "x")
    with pytest.raises(InputError, match="not known"):
        finetune_task.task_folder(asked("--task", "no_such_set"), tmp_path / "runs", "x")

"""A trial on two workers of Ray Train, one of which is lost: it begins again and ends where one worker does."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from genomics_fm.inference.head import load_head
from genomics_fm.inference.predicted import read_predicted
from genomics_fm.tasks.task import load, save
from genomics_fm.tasks.trial_config import TrialConfig
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import arms, finetune_arms, finetune_progress
from jobs.arms import ArmConfig
from jobs.finetune_arms import Planned
from jobs.finetune_config import FinetuneConfig
from tests.corpora import dna
from tests.processes import descendants
from tests.unit.trial_tasks import encoder, task_of

TRIAL = TrialConfig(vocabulary="kmer", updates=60, batch_rows=10, evaluations=4, class_weights=True, evaluation_rows=30)


def lose_a_worker(folder: Path, seen: list[str], ended: threading.Event) -> None:
    """Kill one of the workers when the trial has begun; what is told of it after that is kept."""
    while not (folder / finetune_progress.PROGRESS).is_file() and not ended.wait(0.02):
        pass
    next(one for one in descendants(os.getpid()) if "RayTrainWorker" in one.title).kill()
    while not ended.wait(0.02):
        seen += filter(None, [finetune_progress.told([("it", folder)])])


def test_a_trial_that_loses_a_worker_begins_again_and_is_that_of_one(
    storage: Path, local_ray: None, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    bpe = BpeVocabulary.train([dna(60, seed) for seed in range(50)], 60)
    made = encoder(tmp_path / "encoder", Ensemble({"bpe": bpe, "kmer": KmerVocabulary(3)}))
    save(tmp_path / "task", task_of("classification"))
    task = load(tmp_path / "task")
    one = Planned(TRIAL.name, str(tmp_path / "task"), TRIAL, str(made))
    root, seen, ended = tmp_path / "arms", list[str](), threading.Event()
    killer = threading.Thread(target=lose_a_worker, args=(root / one.folder, seen, ended))
    killer.start()
    config = FinetuneConfig(data=("x.csv",), workers=2, concurrent=1)
    try:
        (found,) = finetune_arms.run(root, [one], task, config, lambda *_: None)
    finally:
        ended.set()
        killer.join()
    assert any(told.startswith("[finetune] it: begun again, a worker was lost: ") for told in seen)
    alone = arms.run(ArmConfig(one.encoder, one.task, TRIAL), tmp_path / "alone")
    assert (found["workers"], alone["workers"]) == (2, 1) and found["identity"] == alone["identity"]
    assert len(found["curve"]) == len(alone["curve"]) == 4
    for point, twin in zip(found["curve"], alone["curve"], strict=True):
        assert point == pytest.approx(twin, rel=1e-5)
    assert found["test"] == pytest.approx(alone["test"], rel=1e-5)
    assert json.loads((root / one.folder / arms.ARM_FILE).read_text())["curve"] == found["curve"]
    assert not (root / one.folder / finetune_progress.PROGRESS).exists()
    head = load_head(str(root / one.folder))
    predicted = read_predicted(root / one.folder / arms.TEST, task.problem)
    assert len(head.predict(task.test.sequences)) == len(predicted.predictions)
    twins = read_predicted(tmp_path / "alone" / arms.TEST, task.problem)
    np.testing.assert_allclose(predicted.predictions, twins.predictions, rtol=1e-4, atol=1e-5)

"""What a pretraining reads may be damaged, or be a pickle: it is found before it is used, and its file is named."""

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genomics_fm.artefacts import sha256_bytes, sha256_file
from genomics_fm.corpus.cache import CACHE_VARIABLE
from genomics_fm.corpus.manifest import FORMAT_VERSION, MANIFEST, Corpus
from genomics_fm.errors import CorruptArtefact, GenomicsFmError
from genomics_fm.model.weights import load_language_model
from genomics_fm.storage import Folder
from genomics_fm.training.loop import pretrain
from genomics_fm.training.metrics import read_metrics
from genomics_fm.vocabulary.ensemble import Ensemble
from tests import corpora
from tests.faults.test_corpus_damage import DAMAGES
from tests.planted import planted_pickle
from tests.runs import RUN

torch.set_num_threads(1)
WINDOWS = 240
RECIPE = dataclasses.replace(corpora.RECIPE, window_bp=8_192, rows_per_block=4)
CONFIG = dataclasses.replace(RUN, steps=6, batch_rows=2, stream=corpora.streams(streams=16))
"""Every step begins two more streams, and comes to blocks that none has read before."""
Losses = list[dict[str, str]]


@dataclass(frozen=True)
class Whole:
    """A run that nothing was done to, its corpus of 60 blocks, and its vocabulary."""

    corpus: Corpus
    vocabulary: Path
    losses: Losses
    weights_sha256: str


def trained(corpus: Path | Folder, vocabulary: Path, folder: Path) -> Losses:
    """Losses of the updates that a pretraining makes, as hex; it is left to the caller where they end."""
    losses: Losses = []

    def on_step(line: dict[str, Any]) -> None:
        losses.append({name: float(loss).hex() for name, loss in line["loss"].items()})

    pretrain(CONFIG, str(corpus), vocabulary, folder, on_step)
    return losses


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    place = tmp_path_factory.mktemp("whole")
    contigs = {"one": corpora.dna(WINDOWS * (RECIPE.window_bp - RECIPE.overlap_bp) + 50, 0)}
    corpus, vocabulary = corpora.corpus_of(place / "corpus", contigs, RECIPE), place / "vocabulary.json"
    corpora.fixed_vocabulary().save(vocabulary)
    losses = trained(corpus.folder, vocabulary, place / "run")
    return Whole(corpus, vocabulary, losses, sha256_file(place / "run" / "model.safetensors"))


def logged(folder: Path) -> Losses:
    """The updates a run has made."""
    lines = read_metrics(Folder(folder))
    return [{name: float(loss).hex() for name, loss in line["loss"].items()} for line in lines]


def train_on_damage(
    count: int, whole: Whole, place: Folder, tmp_path: Path, fresh_cache: Callable[[], None]
) -> list[int | None]:
    """Damage a block, train, mend it, go on; at which step each damage was met, None where no row of it was due.

    Args:
        count: how often.
        whole: the run left alone.
        place: where its corpus is to be damaged.
        tmp_path: for the runs.
        fresh_cache: called before each run.
    """
    sound = {path.name: path.read_bytes() for path in whole.corpus.folder.iterdir()}
    for name, data in sound.items():
        place.write(name, data)
    draw, met = np.random.default_rng(count), []
    for attempt in range(count):
        files, folder = dict(sound), tmp_path / f"run-{attempt}"
        name = str(draw.choice([block["file"] for block in whole.corpus.blocks]))
        damaged = DAMAGES[attempt % len(DAMAGES)](files, name, draw)
        for name in damaged:
            place.write(name, files[name]) if name in files else place.delete(name)
        fresh_cache()
        try:
            trained(place, whole.vocabulary, folder)
            met.append(None)
        except CorruptArtefact as error:
            assert error.exit_code == 3 and "\n" not in str(error)
            assert any(f"{place.shown(name)}: " in str(error) for name in damaged), (str(error), damaged)
            made = logged(folder)
            assert made == whole.losses[: len(made)]
            met.append(len(made))
        for name in damaged:
            place.write(name, sound[name])
        if met[-1] is not None:
            trained(place, whole.vocabulary, folder)
        assert logged(folder) == whole.losses
        assert sha256_file(folder / "model.safetensors") == whole.weights_sha256
        shutil.rmtree(folder)
    return met


@pytest.mark.parametrize("count", [20, pytest.param(400, marks=pytest.mark.full)])
def test_a_damaged_block_ends_a_pretraining_before_it_is_used(count: int, whole: Whole, tmp_path: Path) -> None:
    met = train_on_damage(count, whole, Folder(tmp_path / "corpus"), tmp_path, lambda: None)
    assert len({step for step in met if step is not None}) > 2  # some when it opens the corpus, some on its way


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.full)])
def test_likewise_in_an_object_store(
    count: int, whole: Whole, object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = (str(tmp_path / f"cache-{number}") for number in range(count))
    met = train_on_damage(
        count, whole, Folder(object_store) / "corpus", tmp_path,
        lambda: monkeypatch.setenv(CACHE_VARIABLE, next(caches)),
    )  # fmt: skip
    assert any(met)


def planted(folder: Path, name: str, data: bytes, hashed: bool) -> None:
    """Put a pickle in the place of a file; where hashed, the corpus' manifest is made to agree with a block."""
    (folder / name).write_bytes(data)
    if hashed:
        place = Folder(folder)
        manifest = place.read_sealed_json(MANIFEST, FORMAT_VERSION, "")
        for block in manifest["blocks"]:
            if block["file"] == name:
                block |= {"sha256": sha256_bytes(data), "bytes": len(data)}
        place.write_sealed_json(MANIFEST, manifest)


@pytest.mark.parametrize(
    ("name", "hashed"), [(MANIFEST, False), ("vocabulary.json", False), ("block", False), ("block", True)]
)
def test_a_pickle_that_a_pretraining_reads_is_not_executed(
    name: str, hashed: bool, whole: Whole, tmp_path: Path
) -> None:
    """Not even one whose hash has been put into the manifest."""
    corpus, trace = tmp_path / "corpus", tmp_path / "executed"
    shutil.copytree(whole.corpus.folder, corpus)
    shutil.copy(whole.vocabulary, corpus / "vocabulary.json")
    for file in [block["file"] for block in whole.corpus.blocks] if name == "block" else [name]:
        planted(corpus, file, planted_pickle(trace), hashed)
    with pytest.raises(GenomicsFmError) as caught:
        trained(corpus, corpus / "vocabulary.json", tmp_path / "run")
    assert caught.value.exit_code in (2, 3)
    assert str(corpus) in str(caught.value) and not trace.exists()
    assert not read_metrics(Folder(tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "hashed"),
    [("config.json", False), ("model.safetensors", False), ("model.safetensors", True), ("vocabulary.json", False)],
)
def test_a_pickle_in_an_encoders_folder_is_not_executed(name: str, hashed: bool, whole: Whole, tmp_path: Path) -> None:
    trained(whole.corpus.folder, whole.vocabulary, tmp_path)
    trace = tmp_path / "executed"
    data = planted_pickle(trace)
    (tmp_path / name).write_bytes(data)
    if hashed:
        about = Folder(tmp_path).read_sealed_json("config.json", 1, "")
        Folder(tmp_path).write_sealed_json("config.json", about | {"weights_sha256": sha256_bytes(data)})
    with pytest.raises(CorruptArtefact, match=name):
        Ensemble.load(tmp_path / name) if name == "vocabulary.json" else load_language_model(tmp_path)
    assert not trace.exists()


def test_a_pickle_in_the_log_of_a_run_is_not_executed(whole: Whole, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    (tmp_path / "metrics.jsonl").write_bytes(planted_pickle(trace) + b"\n")
    with pytest.raises(CorruptArtefact, match=r"metrics\.jsonl"):
        read_metrics(Folder(tmp_path))
    assert not trace.exists()

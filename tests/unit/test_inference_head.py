import json
from typing import get_args

import numpy as np
import pytest

from genomics_fm.artefacts import sha256_file, write_sealed_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.inference.head import FILES, MANIFEST, load_head, read_validation
from genomics_fm.model.heads import Pooling
from genomics_fm.tasks import documents
from genomics_fm.tasks.problem import Problem
from tests.heads import PROBLEM, random_sequences, validation_rows, write_head


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def head(folder):
    return load_head(folder)


def copy_of(folder, target):
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def rewrite_manifest(folder):
    files = {name: sha256_file(folder / name) for name in FILES}
    write_sealed_json(folder / MANIFEST, {"format_version": 2, "files": files})


def test_a_saved_head_loads_with_its_card_and_validation(folder, head):
    assert head.card.task == "coding_or_not"
    assert head.card.problem == PROBLEM
    assert head.sha256 == sha256_file(folder / MANIFEST)
    expected = validation_rows(0.8)
    loaded = read_validation(folder)
    assert loaded.locus == expected.locus
    np.testing.assert_array_equal(loaded.labels, expected.labels)
    np.testing.assert_array_equal(loaded.predictions, expected.predictions)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_a_head_of_every_pooling_comes_back(tmp_path, pooling):
    loaded = load_head(write_head(tmp_path / "head", pooling=pooling))
    assert loaded.module.pooling == loaded.card.pooling == pooling
    assert ("attention.query" in loaded.module.state_dict()) == (pooling == "attention")
    together, alone = loaded.predict(random_sequences(6)), [loaded.predict([s])[0] for s in random_sequences(6)]
    assert [p.probability for p in together] == pytest.approx([p.probability for p in alone], abs=1e-5)


def test_the_same_head_has_the_same_bytes(folder, head, tmp_path):
    assert load_head(write_head(tmp_path / "again")).sha256 == head.sha256
    assert load_head(write_head(tmp_path / "other", seed=1)).sha256 != head.sha256


@pytest.mark.parametrize("name", FILES)
def test_any_changed_file_is_named(folder, tmp_path, name):
    damaged = copy_of(folder, tmp_path / "h")
    data = bytearray((damaged / name).read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / name).write_bytes(bytes(data))
    with pytest.raises(CorruptArtefact, match=name):
        load_head(damaged)


@pytest.mark.parametrize("name", FILES)
def test_any_missing_file_is_named(folder, tmp_path, name):
    damaged = copy_of(folder, tmp_path / "h")
    (damaged / name).unlink()
    with pytest.raises(CorruptArtefact, match=name):
        load_head(damaged)


def test_no_folder_and_no_manifest_are_input_errors(folder, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_head(tmp_path / "absent")
    incomplete = copy_of(folder, tmp_path / "h")
    (incomplete / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"manifest\.json.*no complete head"):
        load_head(incomplete)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", MANIFEST])
def test_a_newer_format_says_upgrade(folder, tmp_path, name):
    newer = copy_of(folder, tmp_path / "h")
    value = json.loads((newer / name).read_text()) | {"format_version": 4}
    (newer / name).write_text(json.dumps(value))
    if name != MANIFEST:
        rewrite_manifest(newer)
    with pytest.raises(CorruptArtefact, match=rf"{name}.*upgrade"):
        load_head(newer)


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"pooling": "attention"},
        {"encoder": {"layers": "x", "colour": 2}},
        {"vocabulary": "codon"},
        {"problem": {"kind": "classification", "names": ["one"], "stranded": False, "metric": ""}},
        {"problem": None},
        {"prevalence": [0.2, 0.3, 0.5]},
        {"length_bp": [200, 100]},
        {"dense": False},
    ],
)
def test_a_card_that_does_not_fit_is_corrupt(folder, tmp_path, change):
    wrong = copy_of(folder, tmp_path / "h")
    value = json.loads((wrong / "config.json").read_text()) | change
    (wrong / "config.json").write_text(json.dumps(value))
    rewrite_manifest(wrong)
    with pytest.raises(CorruptArtefact):
        load_head(wrong)


def test_weights_of_another_shape_are_corrupt(folder, tmp_path):
    wrong = copy_of(folder, tmp_path / "h")
    value = json.loads((wrong / "config.json").read_text())
    value["encoder"]["layers"] = 3
    (wrong / "config.json").write_text(json.dumps(value))
    rewrite_manifest(wrong)
    with pytest.raises(CorruptArtefact, match=r"model\.safetensors"):
        load_head(wrong)


def test_an_interrupted_save_leaves_no_complete_head(folder, tmp_path, monkeypatch):
    target = copy_of(folder, tmp_path / "h")
    monkeypatch.setattr("genomics_fm.inference.head.write_tensors", _fail)
    with pytest.raises(OSError, match="full"):
        write_head(target, seed=1)
    with pytest.raises(InputError, match="manifest"):
        load_head(target)


def _fail(*_arguments):
    raise OSError("full")


def test_the_model_card_says_what_a_user_must_know(folder, tmp_path):
    text = (folder / "README.md").read_text()
    for part in ("not for clinical decisions", "`coding`", "| share of `coding` in training | 0.500 |", "a" * 64):
        assert part in text
    assert "better than this head" not in text
    beaten = write_head(tmp_path / "h", metrics={"validation": {"mcc": 0.6}, "baselines": {"orf": 0.8, "gc": 0.3}})
    text = (beaten / "README.md").read_text()
    assert "**The baseline `orf` is better than this head on validation.**" in text
    assert "`gc` is better" not in text
    for threshold, said in ((0.7, True), (0.5, False)):
        folder = write_head(tmp_path / str(threshold), thresholds=(threshold,))
        assert ("has the best MCC" in (folder / "README.md").read_text()) == said


def test_predictions_do_not_depend_on_the_batch(head, monkeypatch):
    sequences = random_sequences(60, seed=3, high=900)
    together = [p.probability for p in head.predict(sequences)]
    alone = [head.predict([s])[0].probability for s in sequences]
    monkeypatch.setattr("genomics_fm.tasks.scoring.BATCH_TOKENS", 700)
    shuffled = np.random.default_rng(0).permutation(len(sequences))
    mixed = np.empty(len(sequences))
    mixed[shuffled] = [p.probability for p in head.predict([sequences[i] for i in shuffled])]
    assert np.ptp(together) > 0.05
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, mixed, atol=1e-5)


def test_unstranded_heads_average_both_strands_and_report_the_gap(head, tmp_path):
    stranded = load_head(
        write_head(tmp_path / "stranded", problem=Problem("classification", PROBLEM.names, stranded=True))
    )
    for sequence in random_sequences(10, seed=4):
        forward, backward = stranded.predict([sequence, reverse_complement(sequence)])
        both = head.predict([sequence])[0]
        assert both.probability == pytest.approx((forward.probability + backward.probability) / 2, abs=1e-6)
        assert both.reverse_complement_gap == pytest.approx(abs(forward.probability - backward.probability), abs=1e-6)
        assert forward.reverse_complement_gap is None
        assert head.predict([reverse_complement(sequence)])[0].probability == pytest.approx(both.probability, abs=1e-6)


def test_the_label_is_the_likelier_class(head):
    predictions = head.predict(random_sequences(200, seed=5, low=190, high=210))
    assert {p.label for p in predictions} == {"intergenic", "coding"}
    for p in predictions:
        assert p.label == ("coding" if p.probability >= 0.5 else "intergenic")


def test_warnings_name_length_letters_and_unknowns(head):
    assert head.predict(["ACGT" * 50])[0].warnings == ()
    (short,) = head.predict(["ACGT" * 25])
    assert short.warnings == ("100 nt; the head was trained on 200 nt",)
    (rna,) = head.predict(["ACGU" * 49 + "ACGR"])
    assert rna.warnings == ("49 U read as T", "1 ambiguity codes read as N")
    (unknown,) = head.predict(["A" * 150 + "N" * 50])
    assert unknown.warnings == ("25% of the letters are N",)


def test_case_and_rna_make_no_difference(head):
    sequence = random_sequences(1, seed=6, low=200, high=200)[0]
    plain, lower, rna = head.predict([sequence, sequence.lower(), sequence.replace("T", "U")])
    assert plain.probability == lower.probability == rna.probability


@pytest.mark.parametrize(
    "sequence", ["ACGTACGTA", "A" * 2001, "ACGTACGTACEFIL", "ACGT ACGTACGT", "ACGTÄCGTACGT", "ARYARYARYARY"]
)
def test_refused_sequences_are_named(head, sequence):
    with pytest.raises(InputError, match="sequence 2: "):
        head.predict(["ACGTACGTAC", sequence])


def test_shortest_and_longest_sequences_are_scored(head, tmp_path):
    kmer = load_head(write_head(tmp_path / "kmer", vocabulary="kmer"))
    for either in (head, kmer):
        predictions = either.predict(["A" * 10, "ACGTT" * 400, "N" * 10])
        assert all(0 < p.probability < 1 for p in predictions)


def test_no_sequences_no_predictions(head):
    assert head.predict([]) == []


def test_batches_hold_every_document_once_and_stay_in_bounds():
    lengths = [5, 300, 7, 90, 90, 1000, 12]
    batches = list(documents.batches(lengths, 100))
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    assert all(len(b) == 1 or sum(lengths[i] for i in b) <= 100 for b in batches)
    assert [0, 2, 6] in batches

"""`jobs.score` without Ray: its readers and scorers called one after the other."""

import contextlib
import shutil
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import CorruptArtefact, EnvironmentFault, InputError
from genomics_fm.inference import predict_blocks, predict_source
from genomics_fm.inference.head import load_head
from genomics_fm.inference.predict import PredictSettings, predict_file
from genomics_fm.storage import Folder
from genomics_fm.tasks.problem import Problem
from jobs import score, score_ray
from jobs.score import ScoreConfig, run
from tests.heads import random_sequences, rows_of, write_head

CHUNK, BLOCK = 5, 10


def in_process(asked, workers):
    """As `score_ray.records`, without Ray; files are read from the last to the first."""
    scorer = score_ray.Scorer(asked)
    for number in reversed(range(len(asked.inputs))):
        for row in score_ray.read(pa.table({"input": [number]}), asked):
            yield from map(score_ray.json.loads, scorer(row)["about"].to_pylist())


@pytest.fixture(autouse=True)
def small_blocks_and_no_ray(monkeypatch, tmp_path):
    monkeypatch.setenv("GENOMICS_FM_STORAGE", str(tmp_path / "runs"))
    monkeypatch.setattr(predict_source, "CHUNK_SEQUENCES", CHUNK)
    monkeypatch.setattr(predict_blocks, "BLOCK_CHUNKS", BLOCK // CHUNK)
    monkeypatch.setattr(score.launch, "connect", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(score, "_workers", lambda *_: 1)
    monkeypatch.setattr(score, "records", in_process)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("head"))


@pytest.fixture
def fasta(tmp_path):
    return write(tmp_path / "in.fa", random_sequences(33, seed=1))


def write(path, sequences):
    path.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(sequences)))
    return path


def config(head, *inputs, output, **more):
    return ScoreConfig(inputs=tuple(map(str, inputs)), head=str(head), output=str(output), **more)


def blocks_of(folder):
    return [folder / "blocks" / block["file"] for block in predict_blocks.read_manifest(Folder(folder))["blocks"]]


def predicted(head, source, tmp_path, **settings):
    predict_file(load_head(head), str(source), tmp_path / "expected.parquet", settings=PredictSettings(**settings))
    return pq.read_table(tmp_path / "expected.parquet")


def test_the_blocks_in_order_are_what_predict_writes(head, fasta, tmp_path):
    table = write(tmp_path / "more.csv", [])
    table.write_text("sequence,name\n" + "\n".join(f"{s},t{i}" for i, s in enumerate(random_sequences(12, seed=2))))
    done = run(config(head, fasta, table, output=tmp_path / "out", prior="0.1"))
    expected = pa.concat_tables([predicted(head, source, tmp_path, prior=0.1) for source in (fasta, table)])
    files = blocks_of(tmp_path / "out")
    assert [pq.read_metadata(path).num_rows for path in files] == [10, 10, 10, 3, 10, 2]
    assert pa.concat_tables(map(pq.read_table, files)).equals(expected)
    assert pq.read_schema(files[0]).metadata == pq.read_schema(tmp_path / "expected.parquet").metadata
    assert (done.sequences, done.before, done.warned) == (45, 0, sum(map(bool, expected["warning"].to_pylist())))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blocks", "manifest.json"]
    manifest = predict_blocks.read_manifest(Folder(tmp_path / "out"))
    assert manifest["rows"] == 45
    assert [given["file"] for given in manifest["inputs"]] == ["in.fa", "more.csv"]
    assert manifest["made_of"]["prior"] == "0.1"


def test_a_run_that_ended_early_goes_on_with_the_same_bytes(head, fasta, tmp_path, monkeypatch, capsys):
    run(config(head, fasta, output=tmp_path / "whole"))

    def cut_short(asked, workers):
        for number, record in enumerate(in_process(asked, workers)):
            if number == 2:
                raise KeyboardInterrupt
            yield record

    monkeypatch.setattr(score, "records", cut_short)
    again = config(head, fasta, output=tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run(again)
    there = sorted(path.name for path in (tmp_path / "out" / "blocks").iterdir())
    (tmp_path / "out" / "blocks" / there[0]).write_bytes(b"what a power cut leaves")
    monkeypatch.setattr(score, "records", in_process)
    assert (run(again).before, run(again).sequences) == (20, 33)
    assert "20 by an earlier run" in capsys.readouterr().err
    assert (tmp_path / "out" / "manifest.json").read_bytes() == (tmp_path / "whole" / "manifest.json").read_bytes()
    for path in blocks_of(tmp_path / "whole"):
        assert (tmp_path / "out" / "blocks" / path.name).read_bytes() == path.read_bytes()


def test_what_is_finished_is_only_read_and_mended_where_damaged(head, fasta, tmp_path, monkeypatch, capsys):
    asked = config(head, fasta, output=tmp_path / "out")
    run(asked)
    first, second, *_ = blocks_of(tmp_path / "out")
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    first.unlink()
    assert run(asked).before == 13
    assert "2 block(s) missing or changed" in capsys.readouterr().err
    assert first.exists()
    monkeypatch.setattr(score, "records", None)
    assert run(asked).sequences == 33
    assert "nothing to do" in capsys.readouterr().err
    (tmp_path / "out" / "manifest.json").write_text((tmp_path / "out" / "manifest.json").read_text() + " ")
    manifest = (tmp_path / "out" / "manifest.json").read_text().replace('"rows": 33', '"rows": 34')
    (tmp_path / "out" / "manifest.json").write_text(manifest)
    with pytest.raises(CorruptArtefact, match=r"manifest\.json: changed"):
        run(asked)


def test_finished_predictions_of_something_else_are_left_alone(head, fasta, tmp_path):
    run(config(head, fasta, output=tmp_path / "out"))
    for other, what in [
        (config(head, fasta, output=tmp_path / "out", prior="0.2"), "with another prior"),
        (config(head, fasta, output=tmp_path / "out", dtype="bf16"), "with another dtype"),
        (config(head, write(tmp_path / "b.fa", ["ACGTACGTACGT"]), output=tmp_path / "out"), "of other inputs"),
    ]:
        with pytest.raises(InputError, match=rf"out: holds finished predictions {what}; choose"):
            run(other)


def test_a_bad_line_is_named_and_what_was_done_before_it_is_used(head, fasta, tmp_path, capsys):
    asked, good = config(head, fasta, output=tmp_path / "out"), fasta.read_text()
    fasta.write_text(good + ">last\nACGTACGTACGX\n")
    for slow in (False, True):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match=r"in\.fa:\d+:12: .*'X'"):
            if slow:  # the survey, so that the reader comes to the line first
                patch.setattr(score.Survey, "start", lambda self: None)
                patch.setattr(score.Survey, "wait", lambda self, _=None: None)
            run(asked)
        assert (tmp_path / "out" / "blocks").exists() == slow
    fasta.write_text(good.replace("\n", "A\n", 2) + ">last\nACGTACGTACGT\n")  # the first sequence, too
    done = run(asked)
    assert (done.sequences, done.before) == (34, 20)
    assert "1 block(s) of other inputs or settings removed" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "blocks").iterdir())) == 4


def test_one_table_instead_of_a_folder(head, fasta, tmp_path, monkeypatch):
    asked = config(head, fasta, output=tmp_path / "deep" / "out.parquet")
    run(asked)
    expected = predicted(head, fasta, tmp_path)
    found = pq.read_table(asked.output)
    assert found.equals(expected)
    assert found.schema.metadata.items() >= pq.read_schema(tmp_path / "expected.parquet").metadata.items()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out.parquet"]
    monkeypatch.setattr(score, "records", None)
    assert run(asked).before == 33
    monkeypatch.setattr(score, "records", in_process)
    assert run(config(head, fasta, output=asked.output, prior="0.2")).before == 0


def test_places_and_kinds(tmp_path):
    one = random_sequences(1, seed=5, low=300, high=300)[0]
    (tmp_path / "g.fa").write_text(f">chr1\n{one}\n")
    (tmp_path / "in.bed").write_text("".join(f"chr1\t{i}\t{i + 60}\n" for i in range(12)))
    problem = Problem("regression", ("a", "b"), False, "r2")
    values = write_head(tmp_path / "h", problem=problem, prevalence=(), rows=rows_of(problem))
    run(config(values, tmp_path / "in.bed", output=tmp_path / "out", genome=str(tmp_path / "g.fa")))
    table = pa.concat_tables(map(pq.read_table, blocks_of(tmp_path / "out")))
    assert table.equals(predicted(values, tmp_path / "in.bed", tmp_path, genome=str(tmp_path / "g.fa")))
    (tmp_path / "g.fa").write_text(f">chr1\n{one[::-1]}\n")
    with pytest.raises(InputError, match="of other inputs"):
        run(config(values, tmp_path / "in.bed", output=tmp_path / "out", genome=str(tmp_path / "g.fa")))


def test_nothing_of_the_users_is_replaced_or_removed(head, fasta, tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"t\.parquet: is read, and would be replaced"):
        run(config(head, tmp_path / "t.parquet", output=tmp_path / "t.parquet"))
    assert (tmp_path / "t.parquet").read_bytes() == b"mine"
    (tmp_path / "locked_2019.bed").write_text("mine")
    run(config(head, fasta, output=tmp_path))
    assert (tmp_path / "locked_2019.bed").read_text() == "mine" and not (tmp_path / "lock").exists()
    with pytest.raises(InputError, match=r"manifest\.json: of something else than predictions"):
        run(config(head, fasta, output=head))


def test_files_are_found_from_whatever_folder_a_reader_runs_in(head, fasta, tmp_path, monkeypatch):
    def elsewhere(asked, workers):
        (tmp_path / "worker").mkdir()
        with contextlib.chdir(tmp_path / "worker"):
            yield from in_process(asked, workers)

    (tmp_path / "in.bed").write_text(f"s1\t0\t{len(random_sequences(33, seed=1)[1])}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score, "records", elsewhere)
    assert run(config(head, "in.bed", genome="in.fa", output="out")).sequences == 1


def test_a_table_where_a_folder_is_is_refused_before_the_work(head, fasta, tmp_path):
    (tmp_path / "out.parquet").mkdir()
    with pytest.raises(InputError, match=r"--output .*out\.parquet: .*a name that no folder has"):
        run(config(head, fasta, output=tmp_path / "out.parquet"))
    assert [path.name for path in tmp_path.glob("*out.parquet*")] == ["out.parquet"]
    with pytest.raises(InputError, match=r"--output .*in\.fa.* this is a file"):
        run(config(head, fasta, output=fasta))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": ()}, "no file to predict"),
        ({"inputs": ("absent.fa",)}, r"absent\.fa: no such file"),
        ({"head": ""}, "--head"),
        ({"output": ""}, "--output"),
        ({"genome": "absent.fa"}, r"absent\.fa: no such file"),
        ({"head": "/absent"}, "no such folder"),
        ({"prior": "2"}, "prior"),
        ({"dtype": "fp64"}, "dtype fp64"),
    ],
)
def test_what_cannot_be_asked_is_refused(head, fasta, tmp_path, changes, words):
    given = {"inputs": (str(fasta),), "head": str(head), "output": str(tmp_path / "out")} | changes
    with pytest.raises(InputError, match=words) as caught:
        run(ScoreConfig(**given))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_input_that_changes_meanwhile_is_noticed(head, fasta, tmp_path, monkeypatch):
    def changed(asked, workers):
        fasta.write_text(fasta.read_text() + ">late\nACGTACGTACGT\n")
        yield from in_process(asked, workers)

    monkeypatch.setattr(score, "records", changed)
    with pytest.raises(InputError, match="changed while they were read"):
        run(config(head, fasta, output=tmp_path / "out"))


def test_two_runs_do_not_write_into_one_folder(head, fasta, tmp_path):
    with Folder(tmp_path / "out").alone("lock", "other", "taken"), pytest.raises(EnvironmentFault, match="another run"):
        run(config(head, fasta, output=tmp_path / "out"))


def test_errors_of_scorers_come_back_as_data(head, fasta, tmp_path, monkeypatch):
    broken = tmp_path / "head"
    shutil.copytree(head, broken)

    def breaks(asked, workers):
        (broken / "model.safetensors").write_bytes(b"")
        yield from in_process(asked, workers)

    monkeypatch.setattr(score, "records", breaks)
    with pytest.raises(CorruptArtefact, match=r"model\.safetensors"):
        run(config(broken, fasta, output=tmp_path / "out"))


def test_workers_are_bounded_by_what_there_is(monkeypatch):
    monkeypatch.undo()
    ray = types.SimpleNamespace(cluster_resources=lambda: {"CPU": 4.0})
    monkeypatch.setitem(__import__("sys").modules, "ray", ray)
    monkeypatch.setattr(score.os, "cpu_count", lambda: 2)
    here, there = types.SimpleNamespace(started_here=True), types.SimpleNamespace(started_here=False)
    assert [score._workers(0, here), score._workers(0, there), score._workers(3, here)] == [2, 4, 3]
    with pytest.raises(InputError, match="workers 5: give at most 4"):
        score._workers(5, there)


def test_an_object_store_takes_blocks_and_is_gone_on_with(head, fasta, object_store, monkeypatch):
    place, mark, options = object_store.partition("?")
    asked = config(head, fasta, output=f"{place}/out{mark}{options}")
    run(asked)
    folder = asked.folder
    assert folder.names() == ["manifest.json"]
    assert predict_blocks.damaged(folder, predict_blocks.read_manifest(folder)) == []
    folder.delete("manifest.json")
    assert run(asked).before == 33
    with folder.alone("lock", "other", "x"), pytest.raises(EnvironmentFault, match=r"another run .* delete .*lock-…"):
        folder.delete("manifest.json")
        run(asked)

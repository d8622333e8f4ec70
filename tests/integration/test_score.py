"""`python -m jobs.score` on Ray: killed, started again, and the same numbers as without Ray."""

import os
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.head import load_head
from genomics_fm.inference.predict import predict_file
from genomics_fm.inference.predict_blocks import read_manifest
from genomics_fm.storage import Folder
from jobs import register
from jobs.score import ScoreConfig, run
from tests.heads import random_sequences, write_head
from tests.processes import descendants, forget_ray, survivors

SEQUENCES = 9_000
"""Three blocks."""


def test_a_run_killed_and_started_again_writes_what_predict_does(local_ray, storage, tmp_path, capsys):
    folder = write_head(tmp_path / "h")
    assert register.run(register.RegisterConfig(head=str(folder), name="demo")).promoted
    fasta, places = tmp_path / "in.fa", tmp_path / "more.csv"
    fasta.write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(random_sequences(SEQUENCES, low=10, high=20))))
    places.write_text("sequence\nACGTACGTACGT\nACGTACGTACGU\n")
    inputs, out = (str(fasta), str(places)), tmp_path / "out"
    command = [sys.executable, "-m", "jobs.score", "--head", "models:/demo@champion", *inputs, "--output", str(out)]
    killed = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.DEVNULL, env={**os.environ})
    until = time.monotonic() + 120
    while not list((out / "blocks").glob("0000-*.parquet")) and time.monotonic() < until:
        assert killed.poll() is None
        time.sleep(0.01)
    family = descendants(killed.pid)
    killed.kill()
    killed.wait()
    survivors(family, 10)
    forget_ray(family)
    assert not (out / "manifest.json").exists()

    config = ScoreConfig(inputs=inputs, head="models:/demo@champion", output=str(out), workers=2)
    done = run(config)
    assert done.sequences == SEQUENCES + 2
    assert done.before % 4096 in (0, 2)  # the second file's block may have been there
    assert 4096 <= done.before <= 8194
    assert "by an earlier run" in capsys.readouterr().err
    files = [out / "blocks" / block["file"] for block in read_manifest(Folder(out))["blocks"]]
    assert [pq.read_metadata(path).num_rows for path in files] == [4096, 4096, SEQUENCES - 8192, 2]
    expected = []
    for source in inputs:
        predict_file(load_head(folder), source, tmp_path / "expected.parquet")
        expected.append(pq.read_table(tmp_path / "expected.parquet"))
    assert_alike(pa.concat_tables(map(pq.read_table, files)), pa.concat_tables(expected))

    fasta.write_text(fasta.read_text() + ">bad\nACGTXACGTA\n")
    with pytest.raises(InputError, match=rf"in\.fa:{2 * SEQUENCES + 2}:5: .*'X'"):
        run(ScoreConfig(inputs=inputs, head=str(folder), output=str(tmp_path / "other")))


def assert_alike(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.equals(expected.schema)
    for name in expected.column_names:
        if pa.types.is_floating(expected[name].type):
            assert found[name].to_pylist() == pytest.approx(expected[name].to_pylist(), abs=1e-6), name
        else:
            assert found[name].equals(expected[name]), name

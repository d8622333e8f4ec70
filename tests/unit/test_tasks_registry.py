"""Published sets: what the table says of them, and files in their publishers' formats over local HTTP."""

import dataclasses
import gzip
import http.server
import io
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.tasks import registry, splits
from genomics_fm.tasks.registry import TASKS
from genomics_fm.tasks.registry_entry import File

SHARED = Path(__file__).parents[3] / "shared" / "data"
DOCUMENT = Path(__file__).parents[2] / "docs" / "tasks.md"
ROWS = 24


class _Publisher(http.server.ThreadingHTTPServer):
    """Serves bytes by path; counts requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, name: str, content: dict[str, bytes]) -> None:
        """Content by path of the entry's files."""
        self.files |= {urlsplit(file.url).path: content[file.path] for file in TASKS[name].files}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Publisher

    def do_GET(self) -> None:
        self.server.requests += 1
        body = self.server.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def publisher() -> Iterator[_Publisher]:
    server = _Publisher()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.ROOT_VARIABLE, raising=False)


def _drawn(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def _gue(classes: int, seed: int) -> bytes:
    """GUE's CSV: a header, then sequence and number of the class."""
    lines = [f"{_drawn(70, seed + row)},{row % classes}" for row in range(ROWS)]
    return ("sequence,label\n" + "\n".join(lines) + "\n").encode()


def _benchmark(seed: int) -> bytes:
    """The parquet of genomic_benchmarks' mirror: seq, label."""
    columns = {"seq": [_drawn(200, seed + row) for row in range(ROWS)], "label": [row % 3 for row in range(ROWS)]}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _starr(split: int) -> tuple[bytes, bytes]:
    """DeepSTARR's FASTA and, in the same order, its tab-separated activities."""
    names = [f"chr2L_{5587 + 300 * row}_{5835 + 300 * row}_{'+-'[row % 2]}_region{split}" for row in range(ROWS)]
    fasta = "".join(f">{name}\n{_drawn(249, 1000 * split + row)}\n" for row, name in enumerate(names))
    activity = "".join(f"{row / 7}\t{-row / 3}\t0.1\n" for row in range(ROWS))
    return fasta.encode(), f"Dev_log2_enrichment\tHk_log2_enrichment\tDev_log2_enrichment_scaled\n{activity}".encode()


def _load(name: str, publisher: _Publisher, cache: Path) -> splits.Labelled:
    return registry.load(name, cache=cache, mirror=publisher.address)


def test_a_csv_of_gue_is_fetched_read_and_kept(publisher: _Publisher, tmp_path: Path) -> None:
    publisher.publish(
        "gue_virus_covid", {f"{split}.csv": _gue(9, at) for at, split in ((0, "train"), (50, "dev"), (99, "test"))}
    )
    found = _load("gue_virus_covid", publisher, tmp_path)
    assert len(found.rows) == 3 * ROWS and found.rows.labels[:10].tolist() == [*range(9), 0]
    assert found.split is not None and found.split[::ROWS] == ["train", "dev", "test"]
    assert found.problem.stranded and found.problem.names == tuple("012345678")
    assert found.about["family"] == "H16" and found.about["licence"] and found.about["splits_missing"] == []
    assert publisher.requests == 3
    again = _load("gue_virus_covid", publisher, tmp_path)
    assert publisher.requests == 3 and again.rows.sha256 == found.rows.sha256


def test_a_fetched_file_that_changes_is_noticed(publisher: _Publisher, tmp_path: Path) -> None:
    publisher.publish("gue_mouse_1", {f"{split}.csv": _gue(2, 7) for split in ("train", "dev", "test")})
    _load("gue_mouse_1", publisher, tmp_path)
    kept = next((tmp_path / "tasks" / "gue_mouse_1").glob("*-train.csv"))
    kept.write_bytes(kept.read_bytes().replace(b",1\n", b",0\n", 1))
    with pytest.raises(CorruptArtefact, match="not the bytes that were fetched first"):
        _load("gue_mouse_1", publisher, tmp_path)


def test_a_parquet_of_genomic_benchmarks_numbers_its_classes(publisher: _Publisher, tmp_path: Path) -> None:
    publisher.publish("human_ensembl_regulatory", {"train.csv": _benchmark(0), "test.csv": _benchmark(500)})
    found = _load("human_ensembl_regulatory", publisher, tmp_path)
    assert found.problem.names == ("enhancer", "ocr", "promoter")
    assert found.rows.labels[:4].tolist() == [0, 1, 2, 0] and len(found.rows) == 2 * ROWS
    assert set(found.split or ()) == {"train", "test"}


def test_deepstarr_joins_sequences_and_activities(
    publisher: _Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: dict[str, bytes] = {}
    for number, part in enumerate(("Train", "Val", "Test")):
        content[f"Sequences_{part}.fa"], content[f"Sequences_activity_{part}.txt"] = _starr(number)
    publisher.publish("deepstarr", content)
    with pytest.raises(InputError, match=r"md5 is [0-9a-f]{32}, not fe474a31"):
        _load("deepstarr", publisher, tmp_path)
    entry = TASKS["deepstarr"]
    files = tuple(File(file.path, file.split, file.url) for file in entry.files)
    monkeypatch.setattr(registry, "TASKS", {"deepstarr": dataclasses.replace(entry, files=files)})
    found = _load("deepstarr", publisher, tmp_path)
    assert found.rows.locus[0] == "chr2L:5586-5835:+" and found.rows.locus[1].endswith(":-")
    assert found.rows.labels[3].tolist() == pytest.approx([3 / 7, -1.0]) and found.problem.kind == "regression"
    assert set(found.split or ()) == {"train", "validation", "test"} and len(found.rows) == 3 * ROWS
    content["Sequences_Val.fa"] = content["Sequences_Val.fa"].rpartition(b">")[0]
    publisher.publish("deepstarr", content)
    with pytest.raises(InputError, match="23 sequences beside 24 rows"):
        _load("deepstarr", publisher, tmp_path / "other")


def test_ienhancer_has_a_fasta_file_a_class(publisher: _Publisher, tmp_path: Path) -> None:
    def fasta(seed: int) -> bytes:
        return "".join(f">{row}\n{_drawn(200, seed + row)}\n" for row in range(ROWS)).encode()

    names = [f"{split}_{name}.fa" for split in ("train", "test") for name in ("nonenhancers", "enhancers")]
    publisher.publish("ienhancer_layer1", {name: fasta(1000 * at) for at, name in enumerate(names)})
    found = _load("ienhancer_layer1", publisher, tmp_path)
    assert found.problem.names == ("nonenhancers", "enhancers")
    assert found.rows.labels.tolist() == 2 * (ROWS * [0] + ROWS * [1])
    assert found.rows.sequences[ROWS] == _drawn(200, 1000) and (found.split or [])[2 * ROWS - 1 : 2 * ROWS + 1] == [
        "train",
        "test",
    ]


def test_ribosome_loads_of_the_human_library_alone(publisher: _Publisher, tmp_path: Path) -> None:
    lines = [f"{row},{_drawn(50, row)},{row / 8},{'human' if row % 2 else 'random'}" for row in range(2 * ROWS)]
    body = gzip.compress((",utr,rl,set\n" + "\n".join(lines) + "\n").encode())
    publisher.publish("mrl_human_utr", {"human_utrs_rl.csv": body})
    found = _load("mrl_human_utr", publisher, tmp_path)
    assert len(found.rows) == ROWS and found.rows.labels[0].tolist() == [0.125] and found.split is None
    assert found.problem.stranded and found.rows.sequences[1] == _drawn(50, 3)


def test_a_file_in_another_format_is_one_clear_line(publisher: _Publisher, tmp_path: Path) -> None:
    publisher.publish(
        "gue_mouse_1", {f"{split}.csv": b"<html>quota exceeded</html>\n" for split in ("train", "dev", "test")}
    )
    with pytest.raises(InputError) as error:
        _load("gue_mouse_1", publisher, tmp_path)
    assert "train.csv" in str(error.value) and "\n" not in str(error.value)


def test_local_files_come_first_and_missing_splits_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "tasks" / "GUE" / "EMP" / "H3"
    folder.mkdir(parents=True)
    (folder / "dev.csv").write_bytes(_gue(2, 0))
    (folder / "test.csv.gz").write_bytes(gzip.compress(_gue(2, 50)))
    found = registry.load("gue_emp_H3", tmp_path)
    assert found.about["splits_missing"] == ["train"] and (found.split or [])[::ROWS] == ["dev", "test"]
    assert splits.divide(found).about["split"]["how"] == "official"


def test_tracks_of_a_chromosome_become_labels(tmp_path: Path) -> None:
    (tmp_path / "genomes").mkdir()
    genome = f">20\n{_drawn(9_000, 5)}\n".encode()
    (tmp_path / "genomes" / "human_GRCh37_chr20.fa.gz").write_bytes(gzip.compress(genome))
    for folder, name, start in (
        ("tf_narrowpeak_hg19_chr20", "GM12878.CTCF.narrowPeak.gz", 2_000),
        ("chromatin_bed_hg19_chr20", "DNASE.skin.X1.bed.gz", 4_000),
    ):
        (tmp_path / "peaks" / folder).mkdir(parents=True)
        peak = f"chr20\t{start}\t{start + 600}\t.\t900\t.\t5.0\t-1\t0.1\t90\n"
        (tmp_path / "peaks" / folder / name).write_bytes(gzip.compress(peak.encode()))
    found = registry.load("chr20_chromatin", tmp_path)
    assert found.problem.names == ("GM12878.CTCF", "DNASE.skin.X1") and found.problem.metric == "auroc"
    assert found.rows.labels.sum(0).tolist() == [3, 3] and len(found.rows) == 12
    assert found.about["family"] == "H7" and found.split is None
    (tmp_path / "genomes" / "human_GRCh37_chr20.fa.gz").unlink()
    with pytest.raises(InputError, match="no genome at"):
        registry.load("chr20_chromatin", tmp_path)


def test_genes_keep_their_places_and_a_place_given_twice_is_one_row(tmp_path: Path) -> None:
    folder = tmp_path / "xpresso_expression"
    folder.mkdir()
    rows = [(f"g{row}", "chr20", 500 * row, 500 * row + 90, "-", row / 4, 0, _drawn(90, row)) for row in range(ROWS)]
    text = ["gene\tchrom\tstart\tend\tstrand\thuman_expr\tmouse_expr\tsequence"]
    text += ["\t".join(map(str, row)) for row in [*rows, rows[2]]]
    (folder / "derived_chr20_chrX_promoters_20kb.tsv").write_text("\n".join(text) + "\n")
    found = registry.load("xpresso_expression", tmp_path)
    assert len(found.rows) == ROWS and found.rows.locus[1] == "chr20:500-590:-"
    assert found.about["counts"]["places_repeated"] == {"left_out": 1} and found.problem.stranded


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("gue_emp_h3", "did you mean gue_emp_H3"),
        ("nothing", "docs/tasks.md"),
        ("signals_regions", "neither describes nor publishes"),
        ("xpresso_expression", "set GENOMICS_FM_DATA to a folder"),
    ],
)
def test_what_cannot_be_had_is_said(name: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        registry.load(name)


def test_every_family_has_an_entry_and_every_entry_is_whole() -> None:
    assert {entry.family for entry in TASKS.values()} >= {f"H{number}" for number in range(1, 20)}
    for name, entry in TASKS.items():
        assert name == entry.name and entry.title and entry.length and "\n" not in entry.title
        if entry.unavailable:
            assert not entry.files
        else:
            assert entry.licence and entry.citation and entry.home.startswith("http") and entry.files
            assert not entry.official or entry.official[-1] == "test"
    stranded = {name for name, entry in TASKS.items() if entry.layout.stranded}  # R20
    assert {"gue_splice_reconstructed", "gue_prom_core_all", "mrl_human_utr"} <= stranded
    assert not {"gue_emp_H3", "gue_human_tf_0", "deepstarr", "chr20_chromatin"} & stranded


def _row(name: str) -> str:
    entry = TASKS[name]
    how = f"not: {entry.unavailable}" if entry.unavailable else "fetched" if entry.fetchable else "local files"
    strand = "stranded" if entry.layout.stranded else "both"
    kind = f"{entry.kind}, {entry.outputs}" if entry.outputs else entry.kind
    splits_of = "-" if entry.unavailable else ", ".join(entry.official) or "ours"
    licence = entry.licence or "-"
    link = f"[{entry.title}]({entry.home})" if entry.home else entry.title
    cells = (f"`{name}`", entry.family or "-", link, entry.length, kind, entry.metric, strand, splits_of, licence, how)
    return f"| {' | '.join(cells)} |"


def test_the_table_in_the_documentation_is_the_registry() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert rows == [_row(name) for name in TASKS]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data here")
@pytest.mark.parametrize(
    ("name", "how", "leaked"),
    [("gue_prom_core_tata", "official", 28), ("ienhancer_layer2", "official", 100), ("deepstarr_sample", "cluster", 0)],
)
def test_real_sets_are_read_divided_and_graded(name: str, how: str, leaked: int) -> None:
    found = registry.load(name, SHARED)
    made = splits.divide(found)
    assert made.about["split"]["how"] == how and made.about["audit"]["counts"]["A"] == leaked
    assert sum(len(rows) for rows in made.splits.values()) == len(found.rows)
    assert not np.intersect1d(made.train.block, made.validation.block).size or how == "official"

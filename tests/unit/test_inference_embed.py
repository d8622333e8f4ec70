import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from genomics_fm.errors import InputError
from genomics_fm.genome.reader import read_genome
from genomics_fm.inference import embed as embed_module
from genomics_fm.inference import embed_parts, embed_rows, embed_windows
from genomics_fm.inference.embed_hidden import pieces_of
from genomics_fm.inference.embed_windows import scan
from tests.corpora import dna, write_fasta
from tests.embedding import LAYERS, WIDTH, alone, embed, small_source
from tests.vocabularies import every_kind

KINDS = every_kind().names
LENGTHS = [40, 200, 7, 90, 1, 120, 33, 60, 60, 150, 3, 80]
SEQUENCES = {f"s{i}": dna(length, i, "ACGT" * 10 + "N") for i, length in enumerate(LENGTHS)}
WHOLE, FRAME = slice(None), slice(2, -1)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several windows, batches of tables and row groups out of a small file."""
    monkeypatch.setattr(embed_windows, "WINDOW_LETTERS", 250)
    monkeypatch.setattr(embed_rows, "ROWS_AT_ONCE", 37)
    monkeypatch.setattr(embed_parts, "ROW_GROUP_BYTES", 4 * WIDTH * 50)
    yield


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "in.fa", SEQUENCES)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_row_a_sequence_is_what_the_encoder_says_about_it_alone(
    name: str, pooling: str, fasta: Path, tmp_path: Path
) -> None:
    source = small_source()
    embed(source, fasta, tmp_path / "out.parquet", vocabulary=name, pooling=pooling, batch_tokens=150)
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["name"] == list(SEQUENCES)
    assert table["length"] == LENGTHS
    expected, tokens = [], []
    for sequence in SEQUENCES.values():
        hidden = alone(source, name, sequence)
        tokens.append(len(hidden) - 3)
        mean = hidden[FRAME].mean(0) if tokens[-1] else np.full(WIDTH, np.nan)
        expected.append(hidden[0] if pooling == "cls" else mean)
    assert table["tokens"] == tokens
    np.testing.assert_allclose(np.array(table["embedding"]), expected, atol=1e-5)


def test_a_mean_over_no_token_is_not_a_number_and_nothing_else_is(fasta: Path, tmp_path: Path) -> None:
    embed(small_source(), fasta, tmp_path / "out.parquet", vocabulary="kmer5")
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert np.isnan(table["embedding"]).all(1).tolist() == [length < 5 for length in LENGTHS]


@pytest.mark.parametrize("name", KINDS)
def test_a_row_a_token(name: str, fasta: Path, tmp_path: Path) -> None:
    source, rows = small_source(), []
    embed(source, fasta, tmp_path / "out.parquet", vocabulary=name, pooling="token", batch_tokens=150)
    table = pq.read_table(tmp_path / "out.parquet")
    for label, sequence in SEQUENCES.items():
        ids = source.vocabulary.encode(name, sequence)
        spans = source.vocabulary.intervals(name, ids)
        rows += [(label, i, *span.tolist(), source.vocabulary.tokens[ids[i]]) for i, span in enumerate(spans)]
    columns = [table[column].to_pylist() for column in ("name", "token", "start", "end", "string")]
    assert list(zip(*columns, strict=True)) == rows
    expected = np.concatenate([alone(source, name, sequence)[FRAME] for sequence in SEQUENCES.values()])
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_row_a_base_is_the_mean_of_the_tokens_over_it(name: str, fasta: Path, tmp_path: Path) -> None:
    source, expected = small_source(), []
    embed(source, fasta, tmp_path / "out.parquet", vocabulary=name, pooling="base", batch_tokens=150)
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    for sequence in SEQUENCES.values():
        hidden = alone(source, name, sequence)[FRAME]
        spans = source.vocabulary.intervals(name, source.vocabulary.encode(name, sequence))
        for base in range(len(sequence)):
            over = hidden[(spans[:, 0] <= base) & (base < spans[:, 1])] if len(spans) else hidden
            expected.append(over.mean(0) if len(over) else np.full(WIDTH, np.nan))
    assert "".join(table["base"]) == "".join(SEQUENCES.values())
    assert table["position"] == [base for length in LENGTHS for base in range(length)]
    assert table["name"] == [label for label, sequence in SEQUENCES.items() for _ in sequence]
    np.testing.assert_allclose(np.array(table["embedding"]), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, LAYERS])
def test_any_layer(layer: int, fasta: Path, tmp_path: Path) -> None:
    source = small_source()
    embed(source, fasta, tmp_path / "out.parquet", layer=layer)
    table = pq.read_table(tmp_path / "out.parquet")
    expected = [alone(source, "bpe", sequence, layer)[FRAME].mean(0) for sequence in SEQUENCES.values()]
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, atol=1e-5)
    assert table.schema.metadata[b"layer"] == str(layer).encode()


def test_bf16_is_near_and_is_another_thing(fasta: Path, tmp_path: Path) -> None:
    for dtype in ("fp32", "bf16"):
        embed(small_source(), fasta, tmp_path / f"{dtype}.parquet", dtype=dtype)
    values = [np.array(pq.read_table(tmp_path / f"{d}.parquet")["embedding"].to_pylist()) for d in ("fp32", "bf16")]
    assert 0 < np.abs(values[0] - values[1]).max() < 0.1


@pytest.mark.parametrize("most", [1, 10, 13, 1_000])
def test_long_sequences_are_cut_never_truncated(most: int, fasta: Path, tmp_path: Path) -> None:
    source = small_source()
    embed(source, fasta, tmp_path / "tokens.parquet", pooling="token", max_tokens=most)
    embed(source, fasta, tmp_path / "mean.parquet", max_tokens=most)
    table = pq.read_table(tmp_path / "tokens.parquet")
    hidden, names = np.array(table["embedding"].to_pylist()), np.array(table["name"].to_pylist())
    means = [hidden[names == name].mean(0) for name in SEQUENCES]
    found = np.array(pq.read_table(tmp_path / "mean.parquet")["embedding"].to_pylist())
    np.testing.assert_allclose(found, means, atol=1e-5)
    assert len(hidden) == sum(len(source.vocabulary.encode("bpe", sequence)) for sequence in SEQUENCES.values())


def test_learned_positions_cut_by_themselves(fasta: Path, tmp_path: Path) -> None:
    _, said = embed(small_source("ape", 23), fasta, tmp_path / "out.parquet", pooling="token")
    assert any("more than 20 tokens are cut" in line for line in said)
    hidden = np.array(pq.read_table(tmp_path / "out.parquet")["embedding"].to_pylist())
    short = list(SEQUENCES.values())[2]
    source = small_source("ape", 23)
    before = sum(len(source.vocabulary.encode("bpe", sequence)) for sequence in list(SEQUENCES.values())[:2])
    expected = alone(source, "bpe", short)[FRAME]
    np.testing.assert_allclose(hidden[before : before + len(expected)], expected, atol=1e-5)


def test_pieces_cover_every_token_once_and_are_of_like_size() -> None:
    ends = np.cumsum([0, 0, 1, 9, 10, 11, 25, 0, 30])
    pieces = pieces_of(ends, 10)
    sizes = (pieces.end_P - pieces.begin_P).tolist()
    assert sizes == [0, 1, 9, 10, 5, 6, 8, 8, 9, 0, 10, 10, 10]
    assert pieces.begin_P[1:].tolist() == pieces.end_P[:-1].tolist()
    assert pieces.first_S.tolist() == [0, 1, 2, 3, 4, 6, 9, 10]


@pytest.mark.parametrize("pooling", ["mean", "base"])
def test_weights_that_are_not_finite_are_refused(pooling: str, fasta: Path, tmp_path: Path) -> None:
    source = small_source()
    source = replace(source, encoder=copy.deepcopy(source.encoder))
    with torch.no_grad():
        source.encoder.encoder.layer[1].mlp.wo.weight[2, 3] = float("nan")  # type: ignore[union-attr]
    embed(source, fasta, tmp_path / "before.parquet", layer=1, pooling=pooling)
    with pytest.raises(InputError, match="not finite"):
        embed(source, fasta, tmp_path / "out.parquet", pooling=pooling)
    assert not (tmp_path / "out.parquet").exists()


def test_only_n_is_embedded_as_the_model_reads_it(tmp_path: Path) -> None:
    source = small_source()
    path = write_fasta(tmp_path / "in.fa", {"n": "N" * 30})
    embed(source, path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")["embedding"].to_pylist()
    np.testing.assert_allclose(found, [alone(source, "bpe", "N" * 30)[FRAME].mean(0)], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), (">a\nACGT\n>a\nACGT\n", "second record named 'a'"), (">a\nACGT\n>b\nAC*T\n", "in.fa:4")],
)
def test_a_bad_file_is_refused_before_anything_is_computed(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_module, "sequence_values", lambda *_: pytest.fail("computed"))
    path = tmp_path / "in.fa"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        embed(small_source(), path, tmp_path / "out" / "out.parquet")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary": "none"}, "vocabulary 'none'"),
        ({"pooling": "max"}, "pooling 'max': choose one of mean, cls, token, base"),
        ({"layer": LAYERS + 1}, f"layer {LAYERS + 1}: give 0 to {LAYERS}"),
        ({"dtype": "fp8"}, "dtype fp8: give one of fp32, bf16"),
        ({"max_tokens": 0}, "max_tokens 0"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], message: str, fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        embed(small_source(), fasta, tmp_path / "out.parquet", **settings)


def test_metadata_says_what_it_is_made_of_and_row_groups_are_bounded(fasta: Path, tmp_path: Path) -> None:
    embed(small_source(), fasta, tmp_path / "out.parquet", vocabulary="kmer", pooling="base")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    metadata = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    assert metadata["encoder_sha256"] == "0" * 64
    assert (metadata["vocabulary"], metadata["pooling"], metadata["layer"]) == ("kmer", "base", str(LAYERS))
    assert metadata["input_sha256"] == scan(str(fasta)).sha256
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups[:-1] == [50] * (len(groups) - 1)
    assert sum(groups) == sum(LENGTHS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.fa", "out.parquet"]


def test_a_scan_does_not_see_wrapping_case_or_compression(tmp_path: Path) -> None:
    plain = write_fasta(tmp_path / "a.fa", {"x": "ACGT" * 5, "y": "GG"})
    wrapped = tmp_path / "b.fa"
    wrapped.write_text(">x said\nacgtacgta\ncgtacgtacgt\n>y\nGG\n")
    other = write_fasta(tmp_path / "c.fa", {"y": "GG", "x": "ACGT" * 5})
    assert scan(str(plain)) == scan(str(wrapped))
    renamed = write_fasta(tmp_path / "d.fa", {"x": "ACGT" * 5, "z": "GG"})
    assert len({scan(str(path)).sha256 for path in (plain, other, renamed)}) == 3
    assert (scan(str(plain)).letters, scan(str(plain)).longest) == (22, 20)


def test_windows_are_the_file_in_order(fasta: Path) -> None:
    found = list(embed_windows.windows(str(fasta), every_kind(), "bpe"))
    assert len(found) == 3
    assert [name for window in found for name in window.names] == [contig.name for contig in read_genome(str(fasta))]
    skipped = list(embed_windows.windows(str(fasta), every_kind(), "bpe", skip=2))
    assert [len(window.ids_T) > 0 for window in skipped] == [False, False] + [True] * (len(found) - 2)
    assert [window.names for window in skipped] == [window.names for window in found]


def test_a_window_ends_after_so_many_sequences_too(fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_windows, "WINDOW_LETTERS", 1 << 20)
    monkeypatch.setattr(embed_windows, "WINDOW_SEQUENCES", 5)
    found = embed_windows.windows(str(fasta), every_kind(), "bpe")
    assert [len(window.names) for window in found] == [5, 5, 2]


def test_a_failure_of_the_thread_is_raised_where_its_window_is_taken() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("bad")

    taken = embed_windows.ahead(items())
    assert next(taken) == 1
    with pytest.raises(InputError, match="bad"):
        next(taken)

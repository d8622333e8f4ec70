"""Peaks and their background (U15), and windows with a label a track, against slow counts."""

import random
from pathlib import Path

import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.genome.bed import BedInterval
from genomics_fm.genome.reader import read_genome
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.peaks import read_peaks
from genomics_fm.tasks.read_data import Data, read
from genomics_fm.tasks.tracks import Grid, covered, read_tracks

SHARED = Path(__file__).parents[3] / "shared" / "data"
HUMAN = SHARED / "genomes" / "human_GRCh37_chr20.fa.gz"
YY1 = SHARED / "peaks" / "tf_narrowpeak_hg19_chr20" / "GM12878.YY1.narrowPeak.gz"
MARKS = SHARED / "peaks" / "chromatin_bed_hg19_chr20"
LENGTHS = {"20": 30_000, "chrB": 9_000}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> str:
    """GC drifts along a contig; some stretches are unknown."""
    draw = random.Random(1)
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    records = []
    for name, length in LENGTHS.items():
        letters = [draw.choices("ACGT", (70 - share, share, share, 70 - share))[0] for share in _drift(length)]
        letters[500:700] = "N" * 200
        records.append(f">{name}\n{''.join(letters)}\n")
    path.write_text("".join(records))
    return str(path)


def _drift(length: int) -> list[int]:
    return [20 + 30 * place // length for place in range(length)]


def _peaks(folder: Path, count: int = 60) -> str:
    draw = random.Random(2)
    rows = []
    for _ in range(count):
        contig, size = draw.choice(["chr20", "20", "chrB"]), draw.randrange(20, 150)
        start = draw.randrange(LENGTHS.get(contig, LENGTHS["20"]) - size)
        rows.append(f"{contig}\t{start}\t{start + size}\t.\t0\t.\t1.5\t-1\t-1\t{size // 2}")
    path = folder / "p.narrowPeak"
    path.write_text("\n".join([*rows, rows[0]]) + "\n")
    return str(path)


def _places(found: Labelled) -> list[tuple[str, int, int]]:
    loci = [locus.split(":") for locus in found.rows.locus]
    return [(contig, *map(int, place.split("-"))) for contig, place, _ in loci]  # type: ignore[misc]


def _check_pairs(found: Labelled, genome: str, peaks: str) -> None:
    """Each background row against its peak, base by base."""
    contigs = {contig.name: contig.sequence for contig in read_genome(genome)}
    taken = {name: np.zeros(len(sequence), np.int8) for name, sequence in contigs.items()}
    for line in Path(peaks).read_text().splitlines():
        contig, start, end = line.split("\t")[:3]
        taken["20" if contig == "chr20" else contig][int(start) : int(end)] = 1
    assert found.rows.labels.tolist() == [0, 1] * (len(found.rows) // 2)
    places = _places(found)
    for row in range(0, len(found.rows), 2):
        (contig, start, end), peak = places[row], places[row + 1]
        assert contig == peak[0] and end - start == peak[2] - peak[1]
        mine, other = found.rows.sequences[row : row + 2]
        assert mine == contigs[contig][start:end] and other == contigs[contig][peak[1] : peak[2]]
        assert "N" not in mine + other
        gc = [(text.count("G") + text.count("C")) / len(text) for text in (mine, other)]
        assert abs(gc[0] - gc[1]) < 0.01
        assert not taken[contig][start:end].any(), "overlaps a peak or another background row"
        taken[contig][start:end] = 1


def test_background_is_like_its_peak_and_touches_none(tmp_path: Path, genome: str) -> None:
    peaks = _peaks(tmp_path)
    found = read_peaks(peaks, genome, seed=3)
    _check_pairs(found, genome, peaks)
    counts = found.about["counts"]
    assert counts["peaks"] == 61 and counts["repeated"] == 1 and counts["past_an_end"] == 0
    assert 2 * (60 - counts["with_n"] - counts["without_match"]) == len(found.rows) > 100
    assert found.problem.names == ("background", "peak") and not found.problem.stranded
    assert len(found.about["genome"]["assembly_sha256"]) == 64
    again, other = read_peaks(peaks, genome, seed=3), read_peaks(peaks, genome, seed=4)
    assert again.rows.sha256 == found.rows.sha256 != other.rows.sha256
    turned = tmp_path / "turned.bed"
    turned.write_text("\n".join(reversed(Path(peaks).read_text().splitlines())) + "\n")
    assert read_peaks(str(turned), genome, seed=3).rows.sha256 == found.rows.sha256


def test_windows_around_the_middle_of_peaks(tmp_path: Path, genome: str) -> None:
    bed = tmp_path / "p.bed"
    bed.write_text("20\t1000\t1011\n20\t0\t10\n20\t690\t700\n20\t5000\t5400\n")
    found = read_peaks(str(bed), genome, window_bp=40)
    middles = [place for place, label in zip(_places(found), found.rows.labels, strict=True) if label]
    assert middles == [("20", 985, 1025), ("20", 5180, 5220)]
    assert {len(sequence) for sequence in found.rows.sequences} == {40}
    counts = found.about["counts"]
    assert (counts["past_an_end"], counts["with_n"], counts["without_match"]) == (1, 1, 0)
    assert not any(start < 5400 and end > 5000 for _, start, end in _places(found)[2:3]), "a peak is avoided whole"


def test_what_cannot_be_matched_is_left_out_and_counted(tmp_path: Path) -> None:
    fasta, bed = tmp_path / "g.fa", tmp_path / "p.bed"
    flank = "".join(random.Random(4).choices("AT", k=600))
    fasta.write_text(f">c\n{flank}{'GC' * 20}{flank[::-1]}\n")
    bed.write_text("c\t600\t640\nc\t10\t50\n")
    found = read_peaks(str(bed), str(fasta))
    assert [place[1] for place in _places(found)[1::2]] == [10] and found.about["counts"]["without_match"] == 1
    bed.write_text("c\t600\t640\n")
    with pytest.raises(InputError, match=r"no peak with a match in .*\(.*without_match 1\)"):
        read_peaks(str(bed), str(fasta))


def test_a_repeat_that_is_peak_and_background_is_left_out_with_its_pair(tmp_path: Path) -> None:
    fasta, bed = tmp_path / "g.fa", tmp_path / "p.bed"
    flank = "".join(random.Random(4).choices("AT", k=600))
    fasta.write_text(f">c\n{flank}{'GC' * 20}{flank[::-1]}{'GC' * 20}{flank[7:90]}\n")
    bed.write_text("c\t600\t640\nc\t10\t50\n")
    found = read_peaks(str(bed), str(fasta))
    assert [place[1] for place in _places(found)[1::2]] == [10] and found.rows.labels.tolist() == [0, 1]
    assert found.about["counts"]["pairs_contradicting"] == 1 and found.about["counts"]["conflicts"] == 0
    kept = read_peaks(str(bed), str(fasta), layout=Layout(conflicts="keep"))
    assert len(kept.rows) == 4 and kept.about["counts"]["conflicts"] == 2


def _slow_labels(files: dict[str, str], places: list[tuple[str, int, int]]) -> list[list[float]]:
    labels = []
    for contig, start, end in places:
        row = []
        for path in files.values():
            bases = set()
            for line in Path(path).read_text().splitlines():
                name, first, last = line.split("\t")[:3]
                if name.removeprefix("chr") == contig.removeprefix("chr"):
                    bases.update(range(max(int(first), start), min(int(last), end)))
            row.append(float(2 * len(bases) >= end - start))
        labels.append(row)
    return labels


def test_windows_have_the_labels_of_their_centres(tmp_path: Path, genome: str) -> None:
    draw = random.Random(5)
    files = {}
    for name in ("K562.CTCF", "K562.MAX"):
        starts = [draw.randrange(28_000) for _ in range(40)]
        path = tmp_path / f"{name}.bed"
        path.write_text("".join(f"chr20\t{start}\t{start + draw.randrange(5, 300)}\n" for start in starts))
        files[name] = str(path)
    grid = Grid(100, 40, 50)
    found = read_tracks(files, genome, grid, seed=1)
    assert found.problem.kind == "multilabel" and found.problem.names == ("K562.CTCF", "K562.MAX")
    places = _places(found)
    assert found.rows.labels.tolist() == _slow_labels(files, [(c, start + 30, end - 30) for c, start, end in places])
    assert {contig for contig, *_ in places} == {"20"} and all((start + 30) % 50 == 0 for _, start, _ in places)
    (sequence,) = [contig.sequence for contig in read_genome(genome) if contig.name == "20"]
    assert found.rows.sequences == [sequence[start:end] for _, start, end in places]
    counts, some = found.about["counts"], int(found.rows.labels.any(1).sum())
    every = [start for start in range(0, 30_000, 50) if start >= 30 and start + 70 <= 30_000]
    known = [start for start in every if "N" not in sequence[start - 30 : start + 70]]
    assert counts["windows"] == len(every) and counts["with_n"] == len(every) - len(known) > 0
    assert sum(map(any, _slow_labels(files, [("20", start, start + 40) for start in known]))) == some
    assert counts["with_a_label"] == counts["without_a_label"] == some == len(found.rows) // 2
    assert counts["without_a_label_left_out"] == len(known) - 2 * some
    paths = tuple(f"{name}={path}" for name, path in files.items())
    data = Data(paths, "tracks", genome, grid=grid, seed=1)
    assert read(data).rows.sha256 == found.rows.sha256
    assert read_tracks(files, genome, grid, seed=2).rows.sha256 != found.rows.sha256


def test_bases_in_several_intervals_count_once() -> None:
    draw = random.Random(6)
    for _ in range(50):
        intervals = [BedInterval("c", start, start + draw.randrange(1, 40)) for start in draw.choices(range(200), k=9)]
        bases = {base for one in intervals for base in range(one.start, one.end)}
        starts = np.arange(0, 250, 7)
        expected = [len(bases & set(range(start, start + 13))) for start in starts.tolist()]
        assert covered(intervals, starts, 13).tolist() == expected
    assert covered([], np.arange(3), 5).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("20\t5\t5\n", r"p.bed:1: interval 5-5 is empty"),
        ("20\t5\t9\n21\t5\t9\n", r"p.bed:2: no contig '21' in .*which has 20, chrB; give the genome"),
        ("20\t5\t9\n20\t29000\t30001\n", r"p.bed:2: end 30,001 lies past the end of 20 \(30,000 nt\)"),
        ("# nothing\n", "no intervals|no window whose centre"),
    ],
)
def test_intervals_that_do_not_belong(tmp_path: Path, genome: str, text: str, words: str) -> None:
    bed = tmp_path / "p.bed"
    bed.write_text(text)
    for form in ("peaks", "tracks"):
        with pytest.raises(InputError, match=words):
            read(Data((str(bed),), form, genome))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="have no strand; leave --stranded away"):
            read(Data((str(bed),), form, genome, Layout(stranded=True)))  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"{form} without a genome"):
            Data((str(bed),), form)  # type: ignore[arg-type]


def test_files_and_grids_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 files of form peaks; give one"):
        Data(("a.bed", "b.bed"), "peaks", "g.fa")
    with pytest.raises(InputError, match=r"x/a.bed: a second file named 'a'; write NAME=x/a.bed"):
        read(Data(("a.bed", "x/a.bed"), "tracks", "g.fa"))
    with pytest.raises(InputError, match="window_bp 101: give centre_bp and an even number"):
        Grid(101, 40, 40)


@pytest.mark.skipif(not HUMAN.is_file(), reason="needs ../shared/data/genomes and peaks")
@pytest.mark.full
def test_peaks_of_chromosome_20() -> None:
    found = read_peaks(str(YY1), str(HUMAN))
    assert len(found.rows) == 2_100 and found.about["counts"]["without_match"] == 1
    gc = np.array([(text.count("G") + text.count("C")) / len(text) for text in found.rows.sequences])
    assert np.abs(gc[::2] - gc[1::2]).max() < 0.01
    marks = {path.name.split(".ENC")[0]: str(path) for path in sorted(MARKS.glob("CTCF*.bed.gz"))[:3]}
    windows = read_tracks(marks, str(HUMAN))
    assert windows.rows.labels.shape[1] == 3 and windows.about["counts"]["windows"] == 315_123

"""A full disk at any of the corpus' writers: exit 4, one line with path and sizes, nothing that looks whole."""

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from typer.testing import CliRunner

from genomics_fm.artefacts import write_bytes
from genomics_fm.cli import app
from genomics_fm.corpus.manifest import MANIFEST, Corpus
from genomics_fm.corpus.plan import Plan
from genomics_fm.corpus.sources import Source
from genomics_fm.errors import EnvironmentFault, InputError, from_exit_code
from genomics_fm.genome.fetch import local_copy
from genomics_fm.genome.locate import locate
from genomics_fm.storage import Folder
from jobs import select_species
from jobs.build_corpus import run_sources
from jobs.select_species import SelectSpeciesConfig
from tests import corpora
from tests.assembly_tables import write_ncbi
from tests.disks import mounted

PLENTY = 200_000
PAGE = 4_096
SIZES = re.compile(
    r"(?P<path>/\S+): disk full: ((?P<needed>[\d,]+) bytes needed, )?(?P<free>[\d,]+) (bytes )?free; free .*"
)


class RealDisk:
    """A small file system, filled up but for some bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def leave(self, free_bytes: int) -> None:
        self._filler.unlink(missing_ok=True)
        disk = os.statvfs(self.folder)
        self._filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - free_bytes // PAGE * PAGE))


class MadeUpDisk:
    """A folder in which so many bytes can be written."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._free = 0
        really = Path.open

        def opened(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> IO[Any]:
            file = really(path, mode, *arguments, **named)
            if folder in path.parents and mode[0] in "wax":
                file.write = self._writing(file.write)  # type: ignore[method-assign]
            return file

        monkeypatch.setattr(Path, "open", opened)

    def _writing(self, write: Callable[[Any], int]) -> Callable[[Any], int]:
        def writing(data: Any) -> int:
            self._free -= len(data)
            if self._free < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(data)

        return writing

    def leave(self, free_bytes: int) -> None:
        self._free = free_bytes


Disk = RealDisk | MadeUpDisk


@pytest.fixture(params=["real", "made up"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    if request.param == "real":
        return RealDisk(request.getfixturevalue("small_disk"))
    (tmp_path / "disk").mkdir()
    return MadeUpDisk(tmp_path / "disk", monkeypatch)


def check(disk: Disk, fault: EnvironmentFault) -> Path:
    """It is one line, and what it says of sizes is true; the path it names."""
    said = SIZES.fullmatch(str(fault))
    assert said, fault
    if isinstance(disk, RealDisk) and said["needed"]:
        needed, free = (int(said[name].replace(",", "")) for name in ("needed", "free"))
        assert needed > free
    return Path(said["path"])


def test_every_writer_of_a_build(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a little more space each time, one writer after the other is the one that does not get it."""
    corpora.without_ray(monkeypatch)
    files = [corpora.write_fasta(tmp_path / f"{name}.fa", {"c": corpora.dna(9_000, ord(name))}) for name in "ab"]
    sources, plan = [Source(str(file), file.stem) for file in files], Plan(recipe=corpora.RECIPE)
    corpora.build(tmp_path / "straight", sources)
    writers: list[str] = []
    for free in range(0, PLENTY, 1_024 if isinstance(disk, MadeUpDisk) else PAGE):
        folder = disk.folder / f"corpus{free}"
        disk.leave(free)
        try:
            run_sources(sources, plan, Folder(folder))
            break
        except EnvironmentFault as fault:
            writers.append(re.sub(r"\d+", "", check(disk, fault).name))
        assert not (folder / MANIFEST).exists() and not list(folder.rglob(".*"))
        with pytest.raises(InputError, match=r"jobs\.build_corpus"):
            Corpus(folder)
        disk.leave(PLENTY)
        run_sources(sources, plan, Folder(folder))
        assert corpora.contents(folder) == corpora.contents(tmp_path / "straight")
        for left in folder.iterdir():
            left.unlink()
    assert list(dict.fromkeys(writers)) == ["block---.arrow", "-.json", "provenance.json", "manifest.json"]


@dataclass(frozen=True)
class Inputs:
    """What the other writers read: a genome, a corpus and a copy of the genome in a store, a table of assemblies."""

    genome: Path
    corpus: Folder
    table: Path


@pytest.fixture
def inputs(tmp_path: Path, object_store: str) -> Inputs:
    genome = corpora.write_fasta(tmp_path / "a.fa", {"a": corpora.dna(9_000, 0)})
    corpus = Folder(object_store) / "corpus"
    corpora.build(corpus, [Source(str(genome), "Fictus exemplaris")])
    corpus.write("genome.fa", genome.read_bytes())
    write_ncbi(tmp_path / "assembly_summary.txt", 500)
    return Inputs(genome, corpus, tmp_path / "assembly_summary.txt")


def cached_block(inputs: Inputs, folder: Path) -> None:
    Corpus(inputs.corpus, cache=folder).verify()


def download(inputs: Inputs, folder: Path) -> None:
    local_copy(inputs.corpus.uri.replace("corpus?", "corpus/genome.fa?"), "", folder)


def bed_of_locate(inputs: Inputs, folder: Path) -> None:
    list(locate(str(inputs.genome), [str(inputs.genome)], [str(folder / "found.bed")]))


def source_list(inputs: Inputs, folder: Path) -> None:
    config = SelectSpeciesConfig(ncbi=(str(inputs.table),), count=20, output=str(folder / "genomes.tsv"))
    select_species.run(config)


def page_of_describe(inputs: Inputs, folder: Path) -> None:
    ended = CliRunner().invoke(app, ["describe", inputs.corpus.uri, "-o", str(folder / "page.html")])
    if ended.exit_code:
        assert ended.stderr.startswith("error: ")
        raise from_exit_code(ended.exit_code, ended.stderr.removeprefix("error: ").rstrip("\n"))


@pytest.mark.parametrize("write", [cached_block, download, bed_of_locate, source_list, page_of_describe])
def test_every_other_writer(write: Callable[[Inputs, Path], None], inputs: Inputs, disk: Disk) -> None:
    disk.leave(0)
    folder = disk.folder / "place"
    with pytest.raises(EnvironmentFault) as caught:
        write(inputs, folder)
    check(disk, caught.value)
    left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix not in (".part", ".tag")]
    assert left == []
    disk.leave(PLENTY)
    write(inputs, folder)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert str(caught.value).partition(":")[0] in map(str, written)


def test_no_more_files_allowed(tmp_path: Path) -> None:
    """A disk may have space and yet take no more files; the builder writes millions of them."""
    with mounted(tmp_path / "disk", "size=256k,nr_inodes=2") as folder:
        (folder / "one").touch()
        with pytest.raises(EnvironmentFault, match=r": 2 bytes needed, [1-9][\d,]* free, no more files allowed;"):
            write_bytes(folder / "two", b"xx")

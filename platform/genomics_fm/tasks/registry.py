"""Published data sets by name (SPEC 1.H): found in a local folder or fetched, checked, and read."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from genomics_fm.artefacts import read_sealed_json, sha256_file, write_sealed_json
from genomics_fm.corpus.cache import cache_folder
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.genome.fetch import Report, local_copy
from genomics_fm.tasks import registry_read
from genomics_fm.tasks.labelled import Labelled
from genomics_fm.tasks.registry_entry import Entry, File
from genomics_fm.tasks.registry_sets import entries

ROOT_VARIABLE = "GENOMICS_FM_DATA"
"""Environment variable with a folder of data sets, each in its own (`tasks/FOLDER` or `FOLDER`)."""
TASKS: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in entries()})
FORMAT_VERSION = 1

_SEEN = "fetched.json"
_HOW = "fetch it again"


def load(
    name: str,
    data_root: Path | None = None,
    cache: Path | None = None,
    mirror: str = "",
    report: Report | None = None,
) -> Labelled:
    """The labelled rows of a published data set.

    Args:
        name: one of `TASKS`.
        data_root: folder with local data sets; default: `$GENOMICS_FM_DATA`. A set that is there is not fetched,
            even if splits are missing, which `about["splits_missing"]` names.
        cache: where fetched files are kept; default: `$GENOMICS_FM_CACHE`, else below the home. Files whose
            publisher gives no checksum are remembered by their sha256 when they are first fetched.
        mirror: http(s)://HOST to fetch from instead, under the same paths.
        report: hears of the progress of downloads.

    Raises:
        InputError: no such set, or it cannot be had; a file is not what its publisher says it is.
        CorruptArtefact: a fetched file is no longer what was fetched.
        EnvironmentFault: the network cannot be reached.
    """
    entry = _entry(name)
    if entry.unavailable:
        raise InputError(f"task {name}: {entry.unavailable}")
    root = data_root or (Path(os.environ[ROOT_VARIABLE]) if os.environ.get(ROOT_VARIABLE) else None)
    found = local_files(entry, root) if root else {}
    if not found:
        if not entry.fetchable:
            raise InputError(
                f"task {name}: nobody publishes it in a form that is read here; set {ROOT_VARIABLE} to a folder that "
                f"holds {entry.folder}"
            )
        found = _fetched(entry, (cache or cache_folder()) / "tasks" / name, mirror, report)
    return registry_read.read(entry, found, root)


def _entry(name: str) -> Entry:
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, 3)
    raise InputError(
        f"task {name!r} is not known; {'did you mean ' + ', '.join(near) if near else 'see docs/tasks.md'}"
    )


def local_files(entry: Entry, root: Path) -> dict[File, list[Path]]:
    """The files of a set that a local folder holds, plain or with .gz; of a pattern all that match."""
    folders = [folder for folder in (root / "tasks" / entry.folder, root / entry.folder) if folder.is_dir()]
    found = {}
    for file in entry.files:
        for folder in folders[:1]:
            paths = sorted(folder.glob(file.path)) or sorted(folder.glob(f"{file.path}.gz"))
            if paths:
                found[file] = paths
    return found


def _fetched(entry: Entry, folder: Path, mirror: str, report: Report | None) -> dict[File, list[Path]]:
    """Every file of a set in the cache; what was seen before must be what it was."""
    seen = {}
    if (folder / _SEEN).is_file():
        seen = dict(read_sealed_json(folder / _SEEN, FORMAT_VERSION, _HOW)["files"])
    found = {}
    for file in entry.files:
        path = local_copy(_address(file.url, mirror), file.checksum, folder, report)
        sum_of = sha256_file(path)
        if seen.setdefault(file.path, sum_of) != sum_of:
            raise CorruptArtefact(f"{path}: not the bytes that were fetched first (sha256 {sum_of}); delete {folder}")
        found[file] = [path]
        write_sealed_json(folder / _SEEN, {"format_version": FORMAT_VERSION, "files": seen})
    return found


def _address(url: str, mirror: str) -> str:
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}{parts.path}" if mirror else url

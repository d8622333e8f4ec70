"""The processes a test has started, found by parentage, so that it ends these and no others."""

import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one with its number by when it was started."""

    pid: int
    parent: int
    started: int
    title: str

    @property
    def alive(self) -> bool:
        now = look(self.pid)
        return now is not None and now.started == self.started

    def kill(self) -> None:
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)


def look(pid: int) -> Process | None:
    """A process by its number; None when there is none, or it is dead and not yet buried."""
    folder = Path("/proc") / str(pid)
    try:
        state, parent, *fields = (folder / "stat").read_text().rpartition(")")[2].split()
        title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    return None if state == "Z" else Process(pid, int(parent), int(fields[17]), title)


def descendants(pid: int) -> list[Process]:
    """All that a process has started, and what those have."""
    every = [found for path in Path("/proc").glob("[0-9]*") if (found := look(int(path.name)))]
    family, mine = {pid}, []
    while new := [one for one in every if one.parent in family and one.pid not in family]:
        mine += new
        family |= {one.pid for one in new}
    return mine


def survivors(processes: list[Process], seconds: float) -> list[Process]:
    """Those that do not end by themselves within a time; they are killed."""
    until = time.monotonic() + seconds
    while any(one.alive for one in processes) and time.monotonic() < until:
        time.sleep(0.05)
    left = [one for one in processes if one.alive]
    for one in left:
        one.kill()
    return left


def forget_ray(processes: list[Process]) -> None:
    """Delete the temporary folders of a Ray that could not do so itself."""
    for folder in {found for one in processes for found in re.findall(r"(/\S*?gfm-ray-[^/\s]+)/", one.title)}:
        shutil.rmtree(folder, ignore_errors=True)

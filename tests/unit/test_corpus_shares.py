"""Which files a worker takes at a time."""

from pathlib import Path

from genomics_fm.corpus.plan import Unit
from genomics_fm.corpus.sources import Source
from jobs.build_corpus import SHARE_BYTES, shares


def _units(folder: Path, sizes: list[int]) -> list[Unit]:
    made = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.fa"
        with path.open("wb") as file:
            file.truncate(size)  # sparse: nothing is read here
        made.append(Unit(number, 0, str(path), Source(str(path), f"species {number}", "assembly")))
    return made


def test_long_files_come_first_and_alone_small_ones_together(tmp_path: Path) -> None:
    least, most = SHARE_BYTES
    work = _units(tmp_path, [least // 4] * 16 + [2 * most, most // 2])
    made = [[unit.number for unit in share] for share in shares(work, 2)]
    assert made[:2] == [[16], [17]]
    assert [len(share) for share in made[2:]] == [4, 4, 4, 4]
    assert sorted(number for share in made for number in share) == list(range(18))


def test_every_worker_gets_some_and_the_last_shares_are_small(tmp_path: Path) -> None:
    least, most = SHARE_BYTES
    size = least // 2
    made = shares(_units(tmp_path, [size] * 400), 4)
    lengths = [size * len(share) for share in made]
    assert max(lengths) <= most
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] <= 400 * size / 8, "the first share leaves each worker another like it"
    assert lengths[-1] <= least
    assert sum(len(share) for share in made) == 400


def test_what_must_be_fetched_is_alone() -> None:
    work = [Unit(n, 0, f"https://host/{n}.fa", Source(f"https://host/{n}.fa", f"s{n}", "a")) for n in range(3)]
    assert [[unit.number for unit in share] for share in shares(work, 2)] == [[0], [1], [2]]

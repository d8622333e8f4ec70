"""Downloads against a server that misbehaves in every way we know."""

import errno
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest

from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.genome import fetch
from genomics_fm.genome.fetch import local_copy

DATA = bytes(range(256)) * 4_000
SHA256, MD5 = f"sha256:{hashlib.sha256(DATA).hexdigest()}", f"md5:{hashlib.md5(DATA).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA; a test sets what is wrong with it."""

    data = DATA
    etag = '"1"'
    cut_after: int = len(DATA)  # bytes of a connection
    ranges = True
    says_length = True
    statuses: tuple[int, ...] = ()  # answered to the first requests instead

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/a%20b/genome.fa.gz?x=1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Any

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers.get("Range", ""))
        if server.statuses:
            status, *server.statuses = server.statuses
            self.send_error(status)
            return
        begin = 0
        if server.ranges and server.asked[-1] and self.headers.get("If-Range", server.etag) == server.etag:
            begin = int(server.asked[-1].removeprefix("bytes=").removesuffix("-"))
        if begin >= len(server.data) > 0 and begin:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.data)}")
        else:
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(server.data) - 1}/{len(server.data)}")
        rest = server.data[begin:]
        if server.says_length:
            self.send_header("Content-Length", str(len(rest)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(rest[: server.cut_after])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(fetch, "_COPY_BYTES", 10_000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


@pytest.mark.parametrize("checksum", ["", SHA256, MD5])
def test_a_download_is_made_once(server: Server, tmp_path: Path, checksum: str) -> None:
    heard: list[tuple[int, int]] = []
    path = local_copy(server.url, checksum, tmp_path, lambda *now: heard.append(now))
    assert path.read_bytes() == DATA
    assert path.name.endswith("-genome.fa.gz")
    assert heard[-1] == (len(DATA), len(DATA))
    assert heard == sorted(heard)
    assert local_copy(server.url, checksum, tmp_path) == path
    assert len(server.asked) == 1
    assert names(tmp_path) == [path.name]
    assert local_copy(server.url.replace("x=1", "x=2"), checksum, tmp_path) != path


def test_a_cut_download_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = 300_000
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA
    assert server.asked == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


@pytest.mark.parametrize("checksum", ["", SHA256])
def test_another_process_goes_on_too(server: Server, tmp_path: Path, checksum: str) -> None:
    server.cut_after = 300_000
    server.ranges = False  # so that no attempt comes further than the first
    with pytest.raises(EnvironmentFault, match=r"gave up after 5 attempts \(cut after 300,000 of 1,024,000 bytes\)"):
        local_copy(server.url, checksum, tmp_path)
    server.ranges, server.cut_after, server.asked = True, len(DATA), []
    assert local_copy(server.url, checksum, tmp_path).read_bytes() == DATA
    assert server.asked == ["bytes=300000-"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    part = tmp_path / local_copy(server.url, SHA256, tmp_path).name
    part.rename(part.with_name(f"{part.name}.part"))
    part.with_name(f"{part.name}.part").write_bytes(DATA[:5_000])
    server.ranges = False
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_not_spliced(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges = 300_000, False
    with pytest.raises(EnvironmentFault):
        local_copy(server.url, "", tmp_path)
    server.ranges, server.cut_after = True, len(DATA)
    server.data, server.etag = DATA[::-1], '"2"'
    assert local_copy(server.url, "", tmp_path).read_bytes() == DATA[::-1]


def test_without_a_version_only_a_checksum_allows_to_go_on(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.ranges, server.etag = 300_000, False, ""
    for checksum, asked in (("", ""), (SHA256, "bytes=300000-")):
        server.ranges, server.cut_after = False, 300_000
        with pytest.raises(EnvironmentFault):
            local_copy(server.url, checksum, tmp_path / checksum[:6])
        server.ranges, server.cut_after, server.asked = True, len(DATA), []
        assert local_copy(server.url, checksum, tmp_path / checksum[:6]).read_bytes() == DATA
        assert server.asked == [asked]


def test_a_wrong_old_beginning_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = local_copy(server.url, SHA256, tmp_path)
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(b"x" * 5_000)
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA
    assert server.asked[1:] == ["bytes=5000-", ""]


def test_a_part_that_is_whole_already(server: Server, tmp_path: Path) -> None:
    path = local_copy(server.url, SHA256, tmp_path)
    path.rename(path.with_name(f"{path.name}.part"))
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA
    assert server.asked[1:] == [f"bytes={len(DATA)}-"]


def test_a_longer_part_is_thrown_away(server: Server, tmp_path: Path) -> None:
    path = local_copy(server.url, SHA256, tmp_path)
    path.rename(path.with_name(f"{path.name}.part"))
    path.with_name(f"{path.name}.part").write_bytes(DATA + b"more")
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_wrong_file_is_refused_and_not_kept(server: Server, tmp_path: Path, checksum: str) -> None:
    server.data = b"<html>Please log in</html>"
    name, _, wanted = checksum.partition(":")
    found = hashlib.new(name, server.data).hexdigest()
    with pytest.raises(InputError, match=f"{name} is {found}, not {wanted} as the source list says; check") as caught:
        local_copy(server.url, checksum, tmp_path)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_damaged_copy_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = local_copy(server.url, SHA256, tmp_path)
    path.write_bytes(DATA[:-1] + b"!")
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA


def test_a_server_that_is_not_well_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = (503, 429, 500)
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA
    server.statuses = (500,) * 5
    with pytest.raises(EnvironmentFault, match=r"gave up after 5 attempts \(HTTP 500"):
        local_copy(server.url + "2", SHA256, tmp_path)


def test_a_length_nobody_says(server: Server, tmp_path: Path) -> None:
    server.says_length = False
    heard: list[tuple[int, int]] = []
    assert local_copy(server.url, "", tmp_path, lambda *now: heard.append(now)).read_bytes() == DATA
    assert heard[-1] == (len(DATA), 0)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_address_that_leads_nowhere(server: Server, tmp_path: Path, status: int) -> None:
    server.statuses = (status,)
    with pytest.raises(InputError, match=f"HTTP {status} .*; check the address"):
        local_copy(server.url, "", tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ftp://example.org/x.fa", "cannot be fetched; give http"),
        ("http://", "not an address"),
        ("http://[x/y.fa", "not an address"),
        ("http://exa mple/y.fa", "not an address"),
        ("s3://", "not an address"),
    ],
)
def test_addresses_that_are_none(tmp_path: Path, location: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        local_copy(location, "", tmp_path)


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(
        EnvironmentFault, match=r"127\.0\.0\.1:9/x\.fa: gave up after 5 attempts .*refused.*; check the"
    ):
        local_copy("http://127.0.0.1:9/x.fa", "", tmp_path)


def test_local_files_stay_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(DATA)
    cache = tmp_path / "cache"
    assert local_copy(str(path), "", cache) == path
    assert local_copy(f"file://{path}", SHA256, cache) == path
    assert not cache.exists()
    with pytest.raises(InputError, match=r"x\.fa: md5 is .*, not 0{32} as the source list says"):
        local_copy(str(path), f"md5:{'0' * 32}", cache)
    with pytest.raises(InputError, match=r"nothing\.fa: No such file"):
        local_copy(str(tmp_path / "nothing.fa"), SHA256, cache)


@pytest.mark.parametrize("checksum", ["sha256", "sha1:00", f"md5:{'A' * 32}", "0" * 64])
def test_checksums_that_are_none(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(InputError, match="write sha256:HEX or md5:HEX"):
        local_copy("http://127.0.0.1:9/x.fa", checksum, tmp_path)


def test_object_stores_are_read_through_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "x.fa").write_bytes(DATA)

    def from_uri(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
        return pyarrow.fs.LocalFileSystem(), str(tmp_path / uri.removeprefix("s3://"))

    monkeypatch.setattr(fetch.remote.pyarrow.fs, "FileSystem", type("Fake", (), {"from_uri": staticmethod(from_uri)}))
    cache = tmp_path / "cache"
    path = local_copy("s3://bucket/x.fa", SHA256, cache)
    assert path.read_bytes() == DATA
    path.rename(path.with_name(f"{path.name}.part"))
    path.with_name(f"{path.name}.part").write_bytes(DATA[:1_000])
    assert local_copy("s3://bucket/x.fa", SHA256, cache).read_bytes() == DATA
    with pytest.raises(InputError, match="no such object"):
        local_copy("s3://bucket/y.fa", SHA256, cache)


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    made: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: made.append(local_copy(server.url, SHA256, tmp_path).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [DATA] * 4
    assert len(server.asked) == 1
    assert len(names(tmp_path)) == 1


def test_a_full_disk_leaves_nothing_that_looks_whole(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(fetch, "_append", full)
        with pytest.raises(EnvironmentFault, match=r"genome\.fa\.gz\.part: disk full"):
            local_copy(server.url, SHA256, tmp_path)
    assert not [name for name in names(tmp_path) if ".part" not in name]
    assert local_copy(server.url, SHA256, tmp_path).read_bytes() == DATA

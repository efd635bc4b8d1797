"""Downloads against a small server that knows ranges, and breaks when told to."""

import hashlib
import http.server
import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import sources
from data.files.download import Archive, download, is_cached

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, state, *args):
        self.state = state
        super().__init__(*args)

    def do_GET(self):
        state = self.state
        state["requests"].append((self.path, self.headers.get("Range")))
        content = state["files"].get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if state["ranges"] and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        for name, value in {"Content-Length": str(len(content) - start), **state["headers"]}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if state["drips"]:
            self.drip(content)
            return
        stop = len(content)
        if state["breaks"] > 0:
            state["breaks"] -= 1
            stop = start + (len(content) - start) // 2
        self.wfile.write(content[start:stop])

    def drip(self, content):
        """A byte now and then, until the other side has enough."""
        try:
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                time.sleep(0.02)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    state = {"files": {"/a.bin": CONTENT}, "requests": [], "ranges": True, "breaks": 0, "headers": {}, "drips": False}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state)) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        state["url"] = f"http://127.0.0.1:{running.server_port}"
        yield state
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "set"


def archive(server, md5: str = MD5) -> Archive:
    return Archive("a.bin", f"{server['url']}/a.bin", len(CONTENT), md5)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_fetched_once_and_verified(server, cache):
    assert not is_cached("set", archive(server))
    received = []
    path = download("set", archive(server), progress=received.append)
    assert path == cache / "a.bin"
    assert path.read_bytes() == CONTENT
    assert sum(received) == len(CONTENT)
    assert names(cache) == {"a.bin", "a.bin.sha256"}
    assert is_cached("set", archive(server))
    download("set", archive(server))
    assert len(server["requests"]) == 1


def test_a_broken_connection_is_taken_up_where_it_ended(server, cache):
    server["breaks"] = 2
    assert download("set", archive(server)).read_bytes() == CONTENT
    assert [asked for _, asked in server["requests"]] == [None, "bytes=150000-", "bytes=225000-"]


def test_a_killed_download_is_resumed(server, cache):
    cache.mkdir(parents=True)
    (cache / "a.bin.part").write_bytes(CONTENT[:100_000])
    received = []
    assert download("set", archive(server), progress=received.append).read_bytes() == CONTENT
    assert sum(received) == 200_000


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"longer", b"of another version" * 100])
@pytest.mark.parametrize("ranges", [True, False])
def test_whatever_a_part_holds_the_result_is_right(server, cache, part, ranges):
    server["ranges"] = ranges
    cache.mkdir(parents=True)
    (cache / "a.bin.part").write_bytes(part)
    assert download("set", archive(server)).read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(server, cache):
    with pytest.raises(
        DataError, match=rf"a\.bin: wrong checksum: sha256 is {SHA256}, wanted md5 0000; nothing was kept"
    ):
        download("set", archive(server, md5="0000"))
    assert names(cache) == set()


def test_a_server_that_keeps_breaking_is_said_and_what_came_stays(server, cache):
    server["breaks"] = 99
    with pytest.raises(
        DataError, match=r"download a\.bin \(0\.3 MB\) by other means into .*set, or name a mirror in data\."
    ):
        download("set", archive(server))
    server["breaks"] = 0
    assert (cache / "a.bin.part").stat().st_size > 200_000
    assert download("set", archive(server)).read_bytes() == CONTENT


def test_no_such_file_and_no_connection_are_said(server, cache):
    server["files"].clear()
    with pytest.raises(DataError, match=r"a\.bin: HTTP 404 Not Found; download a\.bin \(0\.3 MB\) by other means into"):
        download("set", archive(server))
    with pytest.raises(DataError, match=r"Connection refused; download a\.bin"):
        download("set", Archive("a.bin", "http://127.0.0.1:9/a.bin", 300_000, MD5))


def test_a_damaged_copy_in_the_cache_is_fetched_again(server, cache):
    path = download("set", archive(server))
    path.write_bytes(CONTENT[:-1] + b"?")
    assert download("set", archive(server)).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_used_if_it_is_the_published_one(server, cache):
    cache.mkdir(parents=True)
    (cache / "a.bin").write_bytes(CONTENT)
    download("set", archive(server))
    assert server["requests"] == []


@pytest.fixture
def mirror(tmp_path):
    """A mirror whose bytes are not the published ones."""
    top = tmp_path / "mirror"
    (top / "set").mkdir(parents=True)
    (top / "set" / "a.bin").write_bytes(CONTENT[::-1])
    digest = hashlib.sha256(CONTENT[::-1]).hexdigest()
    (top / "SHA256SUMS").write_text(f"{'0' * 64}  ./set/other\n{digest}  ./set/a.bin\n")
    return top


@pytest.mark.parametrize("kind", ["folder", "relative", "file", "http"])
def test_mirrors(server, mirror, kind, monkeypatch):
    monkeypatch.chdir(mirror.parent)
    server["files"] |= {
        f"/m/{path.relative_to(mirror)}": path.read_bytes() for path in mirror.rglob("*") if path.is_file()
    }
    where = {
        "folder": str(mirror),
        "relative": "mirror",
        "file": mirror.as_uri(),
        "http": f"{server['url']}/m/",
    }[kind]
    path = download("set", archive(server), mirror=where)
    assert path.read_bytes() == CONTENT[::-1]
    assert download("set", archive(server), mirror=where) == path
    # Verified then, so good without the mirror; and with a mirror that cannot be asked (a queued experiment).
    assert download("set", archive(server)) == path
    assert download("set", archive(server), mirror="gone") == path
    assert "/a.bin" not in [asked for asked, _ in server["requests"]]


def test_a_mirror_with_other_bytes_replaces_the_copy(server, mirror):
    assert download("set", archive(server)).read_bytes() == CONTENT
    assert download("set", archive(server), mirror=str(mirror)).read_bytes() == CONTENT[::-1]


def test_mirrors_that_lack_something_are_said(server, mirror, tmp_path):
    with pytest.raises(DataError, match=r"data\.mirror: .*none/SHA256SUMS: No such file or directory; a mirror holds"):
        download("set", archive(server), mirror=str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"data\.mirror: .*SHA256SUMS does not list third/a\.bin"):
        download("third", archive(server), mirror=str(mirror))
    with pytest.raises(
        DataError, match=r"data\.mirror: ftp://x/SHA256SUMS: a folder, file://, http:// or https:// is wanted"
    ):
        download("set", archive(server), mirror="ftp://x")
    (mirror / "set" / "a.bin").write_bytes(b"tampered")
    with pytest.raises(DataError, match=r"wrong checksum: sha256 is .*, wanted sha256 .*; nothing was kept"):
        download("set", archive(server), mirror=str(mirror))
    (mirror / "set" / "a.bin").unlink()
    with pytest.raises(DataError, match=r"set/a\.bin: No such file or directory; download a\.bin"):
        download("set", archive(server), mirror=str(mirror))


def test_a_file_longer_than_published_is_not_taken(server, cache):
    server["files"]["/a.bin"] = CONTENT + bytes(50_000_000)
    server["headers"] = {"Content-Length": None}
    received = []
    with pytest.raises(DataError, match=r"a\.bin: it is longer"):
        download("set", archive(server), progress=received.append)
    assert sum(received) <= len(CONTENT)
    assert names(cache) == set()


def test_an_endless_list_of_checksums_is_not_taken(server, monkeypatch):
    server["files"] = {"/SHA256SUMS": bytes(8 << 20)}
    with pytest.raises(DataError, match=r"SHA256SUMS: it is longer"):
        download("set", archive(server), mirror=server["url"])


@pytest.mark.parametrize("length", ["abc", "-1", "1e9", ""])
def test_a_content_length_that_is_no_number_is_said(server, length):
    server["headers"] = {"Content-Length": length}
    with pytest.raises(DataError, match=r"Content-Length"):
        download("set", archive(server))


def test_another_range_than_asked_for_is_not_appended(server, cache):
    server["breaks"] = 1
    server["headers"] = {"Content-Range": "bytes 7-299999/300000"}
    with pytest.raises(DataError, match=r"asked for bytes from 150000 on"):
        download("set", archive(server))


@pytest.mark.parametrize("limit", ["WINDOW", "ANSWER"])
def test_a_server_that_drips_is_given_up(server, monkeypatch, limit):
    server["drips"] = True
    monkeypatch.setattr(sources, limit, 0.3)
    if limit == "ANSWER":
        monkeypatch.setattr(Handler, "send_header", lambda *_: time.sleep(1))
    with pytest.raises(DataError, match=r"a\.bin: (slower than|no answer within)"):
        download("set", archive(server))


@pytest.mark.parametrize("address", ["http://[::1", "http://127.0.0.1:port/", "http://"])
def test_an_address_that_is_none_is_said(address):
    with pytest.raises(DataError, match="SHA256SUMS: "):
        download("set", Archive("a.bin", "", 0, MD5), mirror=address)


def test_a_full_disk_and_a_cache_that_cannot_be_made_name_the_remedy(server, cache, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    cache.mkdir(parents=True)
    (cache / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"a\.bin: No space left on device; .*LOOKALIKE_CACHE"):
        download("set", archive(server))
    monkeypatch.setenv("LOOKALIKE_CACHE", str(cache / "a.bin.part"))
    with pytest.raises(DataError, match=r"Not a directory; .*LOOKALIKE_CACHE"):
        download("set", archive(server))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_what_lies_in_a_cache_that_cannot_be_written_is_used(server, cache):
    download("set", archive(server))
    cache.chmod(0o500)
    assert download("set", archive(server)).read_bytes() == CONTENT
    cache.chmod(0o700)


def test_what_lies_in_the_cache_takes_no_lock(server, cache):
    download("set", archive(server))
    before = {path.name for path in cache.iterdir()}
    for path in cache.glob(".*.lock"):
        path.unlink()
    download("set", archive(server))
    assert {path.name for path in cache.iterdir()} <= before - {".a.bin.lock"} | {"a.bin"}

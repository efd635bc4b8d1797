"""Archives of published data sets: from their own site or a mirror, resumed, verified before use, kept in a cache.

The cache (`~/.cache/lookalike`, or `$LOOKALIKE_CACHE`) lies outside the repository, so that queued experiments find it.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from data.errors import DataError
from data.files.atomic import write_bytes
from data.files.cache import cache_root

_PIECE = 1 << 20
_TRIES = 4
_PATIENCE = 30  # seconds without a byte


@dataclass(frozen=True)
class Archive:
    """A published file."""

    name: str
    url: str
    size: int  # bytes
    md5: str  # as published


def is_cached(dataset: str, archive: Archive) -> bool:
    return (cache_root() / dataset / archive.name).is_file()


def download(
    dataset: str, archive: Archive, *, mirror: str | None = None, progress: Callable[[int], None] = lambda done: None
) -> Path:
    """The verified archive in the cache, fetched if it is not there. `progress` is called with bytes just received.

    A mirror's file is right when its SHA256SUMS say so (its bytes may differ from the published ones), any other when
    the published md5 does.

    Raises:
        DataError: no connection, not there, or a wrong checksum; with the size, and where to put the file by hand.
    """
    target = cache_root() / dataset / archive.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(target):
        expected = None if mirror is None else _mirror_sum(mirror, dataset, archive.name, missing_ok=target.exists())
        if target.exists() and _is_right(target, archive, expected):
            return target
        source = archive.url if mirror is None else _join(mirror, f"{dataset}/{archive.name}")
        part = target.with_name(target.name + ".part")
        for resumed in (part.exists() and part.stat().st_size > 0, False):
            _fetch(source, part, archive, target, progress)
            digest = _digest(part, "sha256")
            if (expected is not None and digest == expected) or _digest(part, "md5") == archive.md5:
                write_bytes(_checksum_file(target), digest.encode())
                part.replace(target)
                return target
            part.unlink()
            if not resumed:  # a resumed file may have been of another version: once more, from the start
                break
        wanted = f"sha256 {expected}" if expected else f"md5 {archive.md5}"
        raise DataError(f"{source}: wrong checksum: sha256 is {digest}, wanted {wanted}; nothing was kept")


def _is_right(target: Path, archive: Archive, expected: str | None) -> bool:
    digest = _digest(target, "sha256")
    if expected is not None:
        return digest == expected
    seal = _checksum_file(target)
    return (seal.exists() and seal.read_text().strip() == digest) or _digest(target, "md5") == archive.md5


def _checksum_file(target: Path) -> Path:
    """Beside a verified archive lies the sha256 that it had then."""
    return target.with_name(target.name + ".sha256")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _mirror_sum(mirror: str, dataset: str, name: str, *, missing_ok: bool) -> str | None:
    """What the mirror's SHA256SUMS say of the file; None when the mirror cannot be asked and a copy is here already."""
    where = _join(mirror, "SHA256SUMS")
    try:
        with _opened(where, 0) as (stream, _):
            lines = stream.read().decode().splitlines()
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        if missing_ok:
            return None
        raise DataError(
            f"data.mirror: {where}: {_reason(error)}; a mirror holds <dataset>/<archive> and SHA256SUMS"
        ) from None
    for line in lines:
        digest, _, file = line.strip().partition(" ")
        if file.strip().lstrip("*").removeprefix("./") == f"{dataset}/{name}":
            return digest.lower()
    if missing_ok:
        return None
    raise DataError(f"data.mirror: {where} does not list {dataset}/{name}")


def _fetch(source: str, part: Path, archive: Archive, target: Path, progress: Callable[[int], None]) -> None:
    """Append to `part` until the source ends; a broken connection is taken up again."""
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        try:
            with _opened(source, have) as (stream, start), part.open("ab" if start else "wb") as file:
                while piece := stream.read(_PIECE):
                    file.write(piece)
                    progress(len(piece))
                file.flush()
                os.fsync(file.fileno())
            return
        except (OSError, http.client.HTTPException) as error:
            gone = isinstance(error, urllib.error.HTTPError) and error.code < 500
            more = part.exists() and part.stat().st_size > have
            if gone or not more or attempt == _TRIES - 1:
                raise DataError(
                    f"{source}: {_reason(error)}; fetch {archive.name} ({archive.size / 1e6:,.1f} MB) by other means "
                    f"into {target.parent}, or name a mirror in data.mirror"
                ) from None


@contextmanager
def _opened(source: str, start: int) -> Iterator[tuple[BinaryIO, int]]:
    """A stream of `source` from byte `start`, and where it really starts: 0 if the server does not know how."""
    path = _local(source)
    if path is not None:
        with path.open("rb") as file:
            start = start if start <= path.stat().st_size else 0
            file.seek(start)
            yield file, start
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(source, headers=headers), timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing after `start`: it was whole, or another file
            raise
        response = urllib.request.urlopen(source, timeout=_PATIENCE)
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        yield _Whole(response, None if length is None else int(length)), start if resumed else 0


class _Whole:
    """A response whose early end is an error, which urllib's is not when it is read in pieces."""

    def __init__(self, stream: BinaryIO, length: int | None) -> None:
        self._stream, self._left = stream, length

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        if self._left is not None:
            self._left -= len(piece)
            if not piece and self._left > 0 and size:
                raise ConnectionResetError(f"the connection ended {self._left} bytes early")
        return piece


def _local(source: str) -> Path | None:
    if "://" not in source:
        return Path(source)
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if parts.scheme not in ("http", "https"):
        raise DataError(f"data.mirror: {source}: a folder, file://, http:// or https:// is wanted")
    return None


def _join(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{quote(name) if '://' in mirror else name}"


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Two experiments at once fetch an archive once (where the system has file locks)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with target.with_name(f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

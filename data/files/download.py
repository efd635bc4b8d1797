"""Archives of published data sets: from their own site or a mirror, resumed, verified before use, kept in a cache."""

import hashlib
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from data.errors import DataError
from data.files.atomic import write_bytes
from data.files.cache import cache_root
from data.files.sources import SourceError, join, open_source

_TRIES = 4
_MAX_SUMS = 4 << 20  # bytes of a SHA256SUMS file: some 40,000 names
_UNKNOWN_SIZE = 8 << 30
_MIRRORED = 64 << 20  # bytes that a mirror's archive, packed anew, may have beyond twice the published size


@dataclass(frozen=True)
class Archive:
    """A published file."""

    name: str
    url: str
    size: int  # bytes; 0: not known
    md5: str  # as published


def is_cached(dataset: str, archive: Archive) -> bool:
    """Whether the archive lies in the cache; it is verified when it is used."""
    return (cache_root() / dataset / archive.name).is_file()


def download(
    dataset: str, archive: Archive, *, mirror: str | None = None, progress: Callable[[int], None] = lambda done: None
) -> Path:
    """Path of the verified archive in the cache, downloaded if it is not there.

    A mirror's file is right when its SHA256SUMS say so (its bytes may differ from the published ones), any other when
    the published md5 does. Two processes at once download an archive once.

    Args:
        dataset: folder of the archive, in the cache and in the mirror.
        mirror: a folder, or an address, that holds `<dataset>/<archive>` and `SHA256SUMS`.
        progress: called with the number of bytes just received.

    Raises:
        DataError: no connection, not there, too long, too slow, a wrong checksum, or no room in the cache; with the
            size, and where to put the file by hand.
    """
    target = cache_root() / dataset / archive.name
    there = target.is_file()
    try:
        if not there:
            target.parent.mkdir(parents=True, exist_ok=True)
        # What lies there is only read: also in a cache that may not be written to.
        lock = nullcontext() if there else FileLock(target.with_name(f".{target.name}.lock"))
        with lock:
            return _download(dataset, archive, target, mirror, progress)
    except OSError as error:
        raise _no_room(target, error) from None


def _download(
    dataset: str, archive: Archive, target: Path, mirror: str | None, progress: Callable[[int], None]
) -> Path:
    expected = None if mirror is None else _mirror_checksum(mirror, dataset, archive.name, missing_ok=target.exists())
    if target.exists() and _is_right(target, archive, expected):
        return target
    source = archive.url if mirror is None else join(mirror, f"{dataset}/{archive.name}")
    limit = (archive.size if mirror is None else 2 * archive.size + _MIRRORED) if archive.size else _UNKNOWN_SIZE
    part = target.with_name(target.name + ".part")
    for resumed in (part.exists() and part.stat().st_size > 0, False):
        _append(source, part, archive, limit, progress)
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
    checksum = _checksum_file(target)
    return (checksum.exists() and checksum.read_text().strip() == digest) or _digest(target, "md5") == archive.md5


def _checksum_file(target: Path) -> Path:
    """Beside a verified archive lies the sha256 that it had then."""
    return target.with_name(target.name + ".sha256")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _mirror_checksum(mirror: str, dataset: str, name: str, *, missing_ok: bool) -> str | None:
    """The sha256 that SHA256SUMS of the mirror gives; None if the mirror does not answer and a copy is here already."""
    where = join(mirror, "SHA256SUMS")
    try:
        with open_source(where, 0, _MAX_SUMS) as (pieces, _):
            lines = b"".join(pieces).decode().splitlines()
    except (SourceError, UnicodeDecodeError) as error:
        if missing_ok:
            return None
        raise DataError(f"data.mirror: {where}: {error}; a mirror holds <dataset>/<archive> and SHA256SUMS") from None
    for line in lines:
        digest, _, file = line.strip().partition(" ")
        if file.strip().lstrip("*").removeprefix("./") == f"{dataset}/{name}":
            return digest.lower()
    if missing_ok:
        return None
    raise DataError(f"data.mirror: {where} does not list {dataset}/{name}")


def _append(source: str, part: Path, archive: Archive, limit: int, progress: Callable[[int], None]) -> None:
    """Append to `part` until the source ends; a broken connection is taken up again."""
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        try:
            with open_source(source, have, limit) as (pieces, start), part.open("ab" if start else "wb") as file:
                for piece in pieces:
                    file.write(piece)
                    progress(len(piece))
                file.flush()
                os.fsync(file.fileno())
            return
        except SourceError as error:
            more = part.exists() and part.stat().st_size > have
            if error.too_long:
                part.unlink(missing_ok=True)
            if error.final or not more or attempt == _TRIES - 1:
                raise DataError(
                    f"{source}: {error}; download {archive.name} ({archive.size / 1e6:,.1f} MB) by other means into "
                    f"{part.parent}, or name a mirror in data.mirror"
                ) from None


def _no_room(target: Path, error: OSError) -> DataError:
    return DataError(
        f"{target}: {error.strerror or error}; make room for it there, or set LOOKALIKE_CACHE to another folder"
    )

"""Files that are whole or absent: atomic writes, and sha256 of what lies on disk."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_QUIET, _DAY = 10.0, 24 * 3600.0  # seconds


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing; it appears under its name only when whole and on disk.

    Bytes go to a hidden file in the same folder, which is synced and renamed at the end of the block. When the block
    raises, nothing is left and an earlier `path` stays as it was.

    Raises:
        OSError: naming `path`, where the system's error (disk full, read-only folder) names nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with name_errors(path, instead_of=part):
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def name_errors(path: Path, *, instead_of: Path | None = None) -> Iterator[None]:
    """A system error that names no file (disk full, file too large), or `instead_of`, names `path`."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(instead_of), instead_of):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def remove_old_parts(folder: Path) -> None:
    """Delete what killed processes left half-written in `folder`; what another process is writing stays.

    A part is nobody's when its process is gone and it was not written to for `_QUIET` seconds (the process may be one
    of another machine that shares the folder), or for a day.
    """
    for part in folder.glob(".*.part"):
        with suppress(OSError):
            quiet = time.time() - part.stat().st_mtime
            if quiet > _DAY or (quiet > _QUIET and not _is_running(part.name.split(".")[-2])):
                part.unlink()


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except OSError:
        pass
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_file(path) as file:
        file.write(content)


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets a folder be synced (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)

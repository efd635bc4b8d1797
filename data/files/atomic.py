"""Files that are whole or absent: atomic writes, and sha256 of what lies on disk."""

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_DAY = 24 * 3600.0  # seconds
_INSTALLATION = Path("/etc/machine-id")
# A file that is being written: `.<name>.<machine>-<process>.part`, in the folder of the whole one.
_PART = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)\.part")


def _machine() -> str:
    """What tells apart whose process numbers these are: 8 hex digits of the host's name and, on Linux, of the
    installation (two machines that share a folder may have one name) and of the container.
    """
    host = platform.node()
    with suppress(OSError):
        host += _INSTALLATION.read_bytes().hex()
    with suppress(OSError):
        host += str(Path("/proc/self/ns/pid").readlink())
    return sha256_bytes(host.encode())[:8]


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing; it appears under its name only when whole and on disk.

    Bytes go to a hidden file in the same folder, which is synced and renamed at the end of the block. When the block
    raises, nothing is left and an earlier `path` stays as it was. When the process is killed, the hidden file stays;
    whoever next writes to the folder removes it.

    Raises:
        OSError: naming `path`, where the system's error (disk full, read-only folder) names nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_parts(path.parent)
    part = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")
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


def _remove_old_parts(folder: Path) -> None:
    """Delete what killed processes left half-written in `folder`; what another process is writing stays.

    A part is nobody's when its process is gone. Of the processes of other machines that share the folder nothing is
    known: theirs stay until they were not written to for a day.
    """
    with suppress(OSError):  # a folder that may not be listed, a part that another process has just removed
        for part in folder.iterdir():
            if found := _PART.fullmatch(part.name):
                gone = found[1] == _machine() and not _is_running(int(found[2]))
                if gone or time.time() - part.stat().st_mtime > _DAY:
                    part.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
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

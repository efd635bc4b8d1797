"""A folder or a zip archive as names and bytes. Nothing is unpacked, so nothing can be written outside."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from data.errors import DataError, Unusable

MAX_FILE = 256 << 20  # bytes; no picture within the decode limits is larger
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif")


@dataclass(frozen=True)
class Tree:
    """`names`: relative, with `/`, sorted; hidden files and known junk are not there. `read(name)` never raises."""

    names: list[str]
    read: Callable[[str], bytes | Unusable]


def open_tree(path: Path) -> Tree:
    """
    Raises:
        DataError: there is nothing at `path`, or it is neither a folder nor a safe zip archive.
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file")
    if path.suffix.lower() != ".zip":
        raise DataError(f"{path}: neither a folder nor a .zip")
    return open_zip(path)


def open_zip(path: Path) -> Tree:
    """
    Raises:
        DataError: broken, or with a member that is a link or would lie outside the archive's own folder.
    """
    try:
        archive = ZipFile(path)
    except (BadZipFile, EOFError) as error:
        raise DataError(f"{path}: not a whole zip archive ({error}); fetch it again") from None
    members = {info.filename: info for info in archive.infolist()}
    for name, info in members.items():
        check_member(path, name, is_link=stat.S_ISLNK(info.external_attr >> 16))

    def read(name: str) -> bytes | Unusable:
        return _read_member(archive, members[name])

    return Tree(sorted(name for name in members if not name.endswith("/") and not _hidden(name)), read)


def check_member(archive: Path, name: str, *, is_link: bool) -> None:
    """
    Raises:
        DataError: an archive with such a member is not read at all.
    """
    if is_link:
        raise DataError(f"{archive}: holds a link ({name}); such an archive is not read")
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or (parts.parts and ":" in parts.parts[0]):
        raise DataError(f"{archive}: holds {name}, which lies outside it; such an archive is not read")


def _read_member(archive: ZipFile, info: ZipInfo) -> bytes | Unusable:
    if info.file_size > MAX_FILE:
        return Unusable("huge", f"{info.file_size >> 20} MB")
    try:
        return archive.read(info)
    except (BadZipFile, EOFError, RuntimeError, NotImplementedError, OSError, ValueError) as error:
        return Unusable("unreadable", f"in the archive: {error}")
    except Exception as error:  # zlib.error and lzma's own
        return Unusable("unreadable", f"in the archive: {type(error).__name__}: {error}")


def _folder(top: Path) -> Tree:
    problems: dict[str, Unusable] = {}
    names: list[str] = []

    def failed(error: OSError) -> None:
        name = os.path.relpath(error.filename, top)
        if name == ".":
            raise DataError(f"{top}: {error.strerror}")
        problems[name] = Unusable(_words(error))

    for here, folders, files in os.walk(top, onerror=failed):
        inside = Path(here).relative_to(top)
        for name in [*folders]:
            relative = (inside / name).as_posix()
            if _hidden(name):
                folders.remove(name)
            elif (Path(here) / name).is_symlink():
                folders.remove(name)
                problems[relative] = Unusable("link", "a link to a folder is not followed: DVC would not see a change")
            elif name.lower().endswith(_PICTURES):
                folders.remove(name)
                problems[relative] = Unusable("Is a directory")
        names += [(inside / name).as_posix() for name in files if not _hidden(name)]

    def read(name: str) -> bytes | Unusable:
        return problems.get(name) or read_file(top / name)

    return Tree(sorted([*names, *problems]), read)


def read_file(path: Path) -> bytes | Unusable:
    """The bytes of a regular file, or the system's reason why not. A pipe or a device is never waited for."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return Unusable("Is a directory" if stat.S_ISDIR(found.st_mode) else "Not a regular file")
        if found.st_size > MAX_FILE:
            return Unusable("huge", f"{found.st_size >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        return Unusable(_words(error))


def unicode_name(name: str) -> str:
    """A name as valid Unicode: bytes that are no UTF-8 become `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in _JUNK for part in name.split("/"))

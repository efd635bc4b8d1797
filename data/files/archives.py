"""A folder or a zip archive as names and bytes. Nothing is unpacked, so nothing can be written outside."""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

from data.errors import DataError, Unusable

MAX_FILE = 256 << 20  # bytes; no picture within the decode limits is larger
_MAX_COUNT = 100_000
_JUNK = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif")


@dataclass(frozen=True)
class Tree:
    """The files of a folder or zip archive.

    `names`: relative, with `/`, sorted; hidden files and known junk are not there. `read(name)` never raises.
    """

    names: list[str]
    read: Callable[[str], bytes | Unusable]
    problems: Mapping[str, Unusable] = field(default_factory=dict)  # names that are no files, and why
    notes: tuple[str, ...] = ()  # what is not read, for a person


def open_tree(path: Path) -> Tree:
    """The files below the folder `path`, or in the .zip file `path`.

    Links to files are followed; links to folders are not, for DVC would not see a change behind them.

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
    """The files in a zip archive.

    Raises:
        DataError: broken, encrypted, two members of one name, or a member that is a link or would lie outside the
            archive's own folder.
    """
    try:
        archive = ZipFile(path)
        infos = archive.infolist()
    except MemoryError:
        raise
    except OSError as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    except Exception as error:  # a damaged list of members raises nearly every type there is
        raise DataError(f"{path}: not a whole zip archive ({_short(error)}); download it again") from None
    members: dict[str, ZipInfo] = {}
    for info in infos:
        check_member(path, info.filename, is_link=stat.S_ISLNK(info.external_attr >> 16))
        if not info.filename:
            raise DataError(f"{path}: holds a member without a name; such an archive is not read")
        name = PurePosixPath(info.filename).as_posix() + ("/" if info.filename.endswith("/") else "")
        if members.setdefault(name, info) is not info:
            raise DataError(f"{path}: holds two members named {name}; such an archive is not read")

    def read(name: str) -> bytes | Unusable:
        return _read_member(archive, members[name])

    return Tree(sorted(name for name in members if not name.endswith("/") and not is_hidden(name)), read)


def check_member(archive: Path, name: str, *, is_link: bool) -> None:
    """Check the name of a member of a zip or tar archive.

    Raises:
        DataError: a link, or a place outside the archive's own folder; such an archive is not read at all.
    """
    if is_link:
        raise DataError(f"{archive}: holds a link ({name}); such an archive is not read")
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or (parts.parts and ":" in parts.parts[0]):
        raise DataError(f"{archive}: holds {name}, which lies outside it; such an archive is not read")


def _read_member(archive: ZipFile, info: ZipInfo) -> bytes | Unusable:
    """At most as many bytes are unpacked as `info` declares, and one more."""
    if info.file_size > MAX_FILE:
        return Unusable("huge", f"{info.file_size >> 20} MB")
    try:
        with archive.open(info) as member:
            content = member.read(info.file_size + 1)
    except MemoryError:
        raise
    except Exception as error:  # zlib's and lzma's own, and those of damaged members
        return Unusable("unreadable", f"in the archive: {_short(error)}")
    if len(content) != info.file_size:
        return Unusable("unreadable", f"in the archive: {info.file_size} bytes were declared")
    return content


def _folder(top: Path) -> Tree:
    problems: dict[str, Unusable] = {}
    names: list[str] = []
    notes: list[str] = []

    def failed(error: OSError) -> None:
        name = os.path.relpath(error.filename, top)
        if name == ".":
            raise DataError(f"{top}: {error.strerror}")
        problems[name] = Unusable(_reason(error))

    for here, folders, files in os.walk(top, onerror=failed):
        inside = Path(here).relative_to(top)
        for name in [*folders]:
            relative, path = (inside / name).as_posix(), Path(here) / name
            if is_hidden(name):
                folders.remove(name)
            elif path.is_symlink():
                folders.remove(name)
                problems[relative] = Unusable("link", f"a link to a folder is not followed; {_count(path)} behind it")
                notes.append(
                    f"{relative} is a link to a folder: the {_count(path)} behind it are left out, for DVC would not "
                    "see a change there; move or copy the folder itself"
                )
            elif name.lower().endswith(_PICTURES):
                folders.remove(name)
                problems[relative] = Unusable("Is a directory", f"named like an image, with {_count(path)}; rename it")
        names += [(inside / name).as_posix() for name in files if not is_hidden(name)]

    def read(name: str) -> bytes | Unusable:
        return problems.get(name) or read_file(top / name)

    return Tree(sorted([*names, *problems]), read, problems, tuple(notes))


def _count(folder: Path) -> str:
    """How many visible files lie in `folder`, in words; links in it are not followed, and counting ends somewhere."""
    count = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        count += sum(not is_hidden(name) for name in files)
        if count > _MAX_COUNT:
            return f"more than {_MAX_COUNT:,} files"
    return f"{count:,} files"


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
        return Unusable(_reason(error))


def unicode_name(name: str) -> str:
    """A name as valid Unicode: bytes that are no UTF-8 become `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in _JUNK for part in name.split("/"))

"""Tar archives as names and bytes. Nothing is unpacked; a compressed one is decompressed once, to a temporary file."""

import gzip
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from data.errors import DataError, Unusable
from data.files.archives import MAX_FILE, Tree, check_member, is_hidden
from data.files.bounded import BoundedFile

_MAX_UNPACKED = 64 << 30  # bytes
SUFFIXES = (".tar", ".tgz", ".tar.gz")


def open_tar(path: Path) -> Tree:
    """
    Raises:
        DataError: broken, with a member that is a link or would lie outside of it, or no room to decompress it.
    """
    try:
        raw = _decompressed(path) if path.suffix.lower() != ".tar" else path.open("rb")
        places: dict[str, tuple[int, int]] = {}  # name -> where its bytes start, and how many there are
        limit = os.fstat(raw.fileno()).st_size + (1 << 20)  # a header may claim more than there is
        with tarfile.open(fileobj=BoundedFile(raw, limit), mode="r:") as archive:
            for member in archive:
                check_member(path, member.name, is_link=member.issym() or member.islnk())
                name = member.name.removeprefix("./")
                if member.isfile() and not is_hidden(name):
                    if name in places:
                        raise DataError(f"{path}: holds two members named {name}; such an archive is not read")
                    places[name] = (member.offset_data, member.size)
    except DataError:
        raise
    except Exception as error:  # of damaged headers: tarfile raises more types than it documents
        raise DataError(f"{path}: not a whole tar archive, or no room to decompress it ({error})") from None

    def read(name: str) -> bytes | Unusable:
        start, size = places[name]
        if size > MAX_FILE:
            return Unusable("huge", f"{size >> 20} MB")
        content = os.pread(raw.fileno(), size, start)
        return content if len(content) == size else Unusable("unreadable", "the archive ends early")

    return Tree(sorted(places), read)


def _decompressed(path: Path) -> IO[bytes]:
    raw = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the tree is)
    with gzip.open(path) as packed:
        shutil.copyfileobj(BoundedFile(packed, _MAX_UNPACKED), raw, 1 << 20)
    raw.seek(0)
    return raw

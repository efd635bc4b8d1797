"""What is known of the files of a folder: the sha256 of each, or why it is no image. Unchanged ones are not read again.

Kept in the scratch cache, one small file a folder; it may be deleted at any time.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import data.images.decode
from data.files.atomic import sha256_bytes, sha256_file, write_bytes
from data.files.cache import cache_root
from data.images.decode import Unusable
from features.extraction.image_files import Found

State = tuple[int, int, int]  # bytes, and times of the last change of content and of rights, in ns


@dataclass
class FilesIndex:
    path: Path
    known: dict[str, tuple[State | None, Found]]  # None: a file of which the system says nothing

    def save(self) -> None:
        plain = {
            name: [*state, found] if isinstance(found, str) else [*state, found.reason, found.detail]
            for name, (state, found) in self.known.items()
            if state is not None  # a link to nowhere: looked at again every time
        }
        with suppress(OSError):  # a disk that is full or may not be written to: not kept
            write_bytes(self.path, json.dumps(plain).encode())


def open_index(folder: Path) -> FilesIndex:
    """The index of `folder`; empty where there is none, or where images are decoded by other code now."""
    code = sha256_file(Path(data.images.decode.__file__))
    key = sha256_bytes(f"{folder.resolve()}\n{code}".encode("utf-8", "surrogateescape"))
    path = cache_root() / "folders" / f"{key[:40]}.json"
    try:
        plain = json.loads(path.read_bytes())
        known = {name: (tuple(row[:3]), row[3] if len(row) == 4 else Unusable(*row[3:])) for name, row in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: everything is read again
        known = {}
    return FilesIndex(path, known)


def state(path: Path) -> State | None:
    """None where the system does not say; such a file is always read again."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns

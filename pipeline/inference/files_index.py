"""What is known of files: the sha256 of each unchanged file of a folder, and which bytes are no image.

Kept in the scratch cache, one small file per folder and one per version of the decoder; they may be deleted.
Only what follows from bytes is kept: a file that could not be read once is read again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files.atomic import sha256_bytes, write_bytes
from data.files.cache import cache_root
from features.storage.sealed_json import seal, unseal
from pipeline.fingerprint import fingerprint
from pipeline.inference.keep import keep

State = list[int]  # bytes, and times of the last change of content and of rights, in ns


@dataclass
class Known:
    """A dict of lists in a small file."""

    path: Path
    values: dict[str, list[Any]]

    def save(self) -> None:
        keep(lambda: write_bytes(self.path, seal(self.values)))


def open_files_index(folder: Path) -> Known:
    """name -> [*its state then, sha256 of its bytes] of the files in `folder`."""
    return _open("folders", sha256_bytes(str(folder.resolve()).encode("utf-8", "surrogateescape")))


def open_verdicts() -> Known:
    """sha256 of bytes -> [reason, detail] why they are no image, by the decoder of today."""
    return _open("no_images", fingerprint("data/images/decode.py"))


def state(path: Path) -> State | None:
    """None where the system does not say; such a file is always read again."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _open(kind: str, key: str) -> Known:
    path = cache_root() / kind / f"{key[:40]}.json"
    try:
        return Known(path, unseal(path.read_bytes()))
    except (OSError, ValueError):  # none yet, or damaged: everything is read again
        return Known(path, {})

"""What is known of files: the sha256 of each unchanged file of a folder, and which bytes are no image.

Kept in the scratch cache, one small file per folder and one per version of the decoder; they may be deleted.
Only what follows from bytes is kept: a file that could not be read once is read again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.errors import Unusable
from data.files.atomic import sha256_bytes, write_bytes
from data.files.cache import cache_root
from features.storage.sealed_json import seal, unseal
from pipeline.fingerprint import fingerprint
from pipeline.inference.keep import keep

State = tuple[int, int, int]  # bytes, and times of the last change of content and of rights, in ns


@dataclass
class FilesIndex:
    path: Path
    known: dict[str, tuple[State, str]]  # name -> its state then, and the sha256 of its bytes

    def save(self, names: Iterable[str]) -> None:
        """Keep what is known of `names`, those that are there now."""
        plain = {name: [*state, digest] for name in names if name in self.known for state, digest in [self.known[name]]}
        keep(lambda: write_bytes(self.path, seal(plain)))


def open_files_index(folder: Path) -> FilesIndex:
    """The index of `folder`; empty where there is none."""
    key = sha256_bytes(str(folder.resolve()).encode("utf-8", "surrogateescape"))
    path = cache_root() / "folders" / f"{key[:40]}.json"
    try:
        plain = unseal(path.read_bytes())
        known = {name: ((size, changed, rights), digest) for name, (size, changed, rights, digest) in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: everything is read again
        known = {}
    return FilesIndex(path, known)


@dataclass
class Verdicts:
    """sha256 of bytes -> why they are no image, by the decoder of today."""

    path: Path
    known: dict[str, Unusable]

    def save(self) -> None:
        plain = {digest: [why.reason, why.detail] for digest, why in self.known.items()}
        keep(lambda: write_bytes(self.path, seal(plain)))


def open_verdicts() -> Verdicts:
    """Those kept so far; empty where there are none."""
    path = cache_root() / "no_images" / f"{fingerprint('data/images/decode.py')[:40]}.json"
    try:
        known = {digest: Unusable(*why) for digest, why in unseal(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        known = {}
    return Verdicts(path, known)


def state(path: Path) -> State | None:
    """None where the system does not say; such a file is always read again."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns

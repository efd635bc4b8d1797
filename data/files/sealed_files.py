"""Files of the scratch cache that end with the sha256 of all before: a part, or a changed bit, is no file."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from data.files.atomic import atomic_file

SHA256, CHUNK = 32, 1 << 20  # bytes


class SealedWriter:
    """Writes to `file`, and at last the sha256 of all that was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self._digest.update(content)
        return self._file.write(content)

    def seal(self) -> None:
        self._file.write(self._digest.digest())


@contextmanager
def sealed_file(path: Path) -> Iterator[SealedWriter]:
    """As `atomic_file`, with the sha256 at the end."""
    with atomic_file(path) as file:
        writer = SealedWriter(file)
        yield writer
        writer.seal()


def is_whole(path: Path) -> bool:
    """Whether `path` is there, as `sealed_file` left it."""
    try:
        with path.open("rb") as file:
            digest, left = hashlib.sha256(), path.stat().st_size - SHA256
            while left > 0 and (piece := file.read(min(left, CHUNK))):
                digest.update(piece)
                left -= len(piece)
            return file.read() == digest.digest()
    except OSError:
        return False

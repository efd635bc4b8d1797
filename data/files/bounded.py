"""Reading no more than a file of its kind may hold, whatever it says of itself."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from data.errors import DataError


def read_gzip(path: Path, limit: int) -> bytes:
    """The content of a .gz file, of at most `limit` bytes.

    Raises:
        DataError: not a whole gzip file, or more than `limit`.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); download it again") from None
    if len(content) > limit:
        raise DataError(f"{path}: unpacks to more than {limit >> 20} MB; download it again")
    return content


class BoundedFile(io.RawIOBase):
    """A stream of which nothing behind byte `limit` is read, and never more than `limit` bytes at once."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._file, self._limit = file, limit

    def read(self, size: int = -1) -> bytes:
        """
        Raises:
            OSError: more than `limit` is asked for.
        """
        if not 0 <= size <= self._limit - self._file.tell():
            raise OSError(f"holds more than {self._limit >> 20} MB")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset > self._limit:
            raise OSError(f"holds more than {self._limit >> 20} MB")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

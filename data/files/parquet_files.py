"""Columns of parquet files in pieces: what a row group unpacks to, its few bytes do not show.

A value that a column repeats is stored once: 2 KB hold a thousand times the same megabyte.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError

_ROWS = 16  # images at once
_BYTES = 1 << 30  # that so many rows may have
_VALUES = 4096  # labels and other short values at once
_MAX_TEXT = 10_000  # characters of one of them


def open_parquet(source: Path | bytes, where: str) -> pq.ParquetFile:
    """
    Raises:
        DataError: not there, or not a whole parquet file; the message starts with `where`.
    """
    if isinstance(source, Path) and not source.exists():
        raise DataError(f"{where}: there is no such folder or file")
    with _named(where):
        return pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source)


def read_short_values(file: pq.ParquetFile, column: str, where: str) -> list[Any]:
    """All values of a column of numbers, names or labels.

    Raises:
        DataError: damaged, or a value is longer than any name.
    """
    values: list[Any] = []
    with _named(where):
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_rows(file, group, column, _VALUES), row_groups=[group], columns=[column]):
                values += batch.column(0).to_pylist()
                if any(_length(value) > _MAX_TEXT for value in values[len(values) - len(batch) :]):
                    raise DataError(
                        f"{where}: {column} holds more than {_MAX_TEXT:,} characters in a row; if these are images, "
                        "use -S data.name=parquet, and name the label column in data.group"
                    )
    return values


def iterate_values(file: pq.ParquetFile, row_group: int, column: str, where: str) -> Iterator[Any]:
    """The values of a column in one row group, a few of them in memory at once.

    Raises:
        DataError: damaged.
    """
    with _named(where):
        for batch in file.iter_batches(_rows(file, row_group, column, _ROWS), row_groups=[row_group], columns=[column]):
            for value in batch.column(0):
                yield value.as_py()


def _length(value: Any) -> int:
    if isinstance(value, dict):
        return max((_length(inner) for inner in value.values()), default=0)
    return len(value) if isinstance(value, str | bytes | list) else 0


def _rows(file: pq.ParquetFile, row_group: int, column: str, most: int) -> int:
    """How many rows to read at once: each may be as large as all that is stored."""
    found = file.metadata.row_group(row_group)
    chunks = [found.column(index) for index in range(found.num_columns)]
    stored = sum(max(0, c.total_uncompressed_size) for c in chunks if c.path_in_schema.split(".")[0] == column)
    return max(1, min(most, _BYTES // max(1, stored)))


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{where}: a row group takes more memory than there is; write it in smaller ones") from None
    except Exception as error:  # of damaged files: Arrow's own types, OSError for snappy and thrift, UnicodeError, ...
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{where}: not a whole parquet file ({text}); download it again") from None

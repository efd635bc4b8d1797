"""images.parquet and rows.parquet, streamed: memory stays flat and equal inputs give equal bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.files.atomic import atomic_file
from data.preparation.leaks import LOOK_BYTES
from data.tables.rows import COLUMNS, Rows

# A row group is what a reader holds at once: bounded in bytes, for photos, and in rows, for drawings.
_GROUP_BYTES, _GROUP_ROWS = 32 << 20, 8_192


class RowWriter:
    """Appends the rows of `rows` in order, each with its picture, to one parquet file."""

    def __init__(self, writer: pq.ParquetWriter, rows: Rows, beside: dict[str, Sequence[Any]]) -> None:
        self._writer = writer
        self._rows = rows
        self._beside = beside
        self._pictures: list[bytes] = []
        self._bytes = 0
        self.written = 0

    def append(self, picture: bytes) -> None:
        self._pictures.append(picture)
        self._bytes += len(picture)
        if self._bytes >= _GROUP_BYTES or len(self._pictures) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._pictures:
            return
        stop = self.written + len(self._pictures)
        here = slice(self.written, stop)
        columns: dict[str, Any] = {name: getattr(self._rows, name)[here].tolist() for name in COLUMNS}
        columns["role"] = [role or None for role in columns["role"]]
        columns |= {name: values[here] for name, values in self._beside.items()}
        columns[self._writer.schema.names[-1]] = self._pictures
        self._writer.write_table(pa.table(columns, schema=self._writer.schema))
        self.written, self._pictures, self._bytes = stop, [], 0


@contextmanager
def open_rows(
    path: Path,
    rows: Rows,
    *,
    picture: str,
    families: Sequence[str] | None = None,
    looks: Sequence[bytes] | None = None,
) -> Iterator[RowWriter]:
    """A file for `rows` whose last column is named `picture`; it appears when the block ends with every row written.

    `families` are names of what is not independent, for intervals; `looks` are perceptual hashes, for the audit.
    """
    schema = pa.schema([(name, pa.bool_() if name == "seen" else pa.string()) for name in COLUMNS])
    if families is not None:
        schema = schema.append(pa.field("family", pa.string()))
    if looks is not None:
        schema = schema.append(pa.field("look", pa.binary(LOOK_BYTES)))
    beside = {name: values for name, values in (("family", families), ("look", looks)) if values is not None}
    schema = schema.append(pa.field(picture, pa.binary()))
    with atomic_file(path) as file:
        # Pictures are compressed already; dictionaries pay for names that come again only.
        compression = {name: "none" if name == picture else "zstd" for name in schema.names}
        dictionaries = ["group", "role", "split", "family"]
        options = {"compression": compression, "use_dictionary": dictionaries, "write_statistics": False}
        with pq.ParquetWriter(file, schema, **options) as writer:
            out = RowWriter(writer, rows, beside)
            yield out
            out.flush()
        if out.written != len(rows):
            raise AssertionError(f"{path}: {out.written} of {len(rows)} rows written")

"""images.parquet and rows.parquet, streamed: memory stays flat and equal inputs give equal bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.files.atomic import atomic_file
from data.preparation.duplicates import DHASH_BYTES
from data.tables.rows import COLUMNS, Rows

# A row group is what a reader holds at once: bounded in bytes, for photos, and in rows, for drawings.
_GROUP_BYTES, _GROUP_ROWS = 32 << 20, 8_192
_EXTRA_COLUMNS = {"family": pa.string(), "dhash": pa.binary(DHASH_BYTES)}


class ImageTableWriter:
    """Appends the rows of `rows` in order, each with its image, to one parquet file."""

    def __init__(self, writer: pq.ParquetWriter, rows: Rows, extra: Mapping[str, Sequence[Any]]) -> None:
        self._writer = writer
        self._rows = rows
        self._extra = extra
        self._images: list[bytes] = []
        self._bytes = 0
        self.written = 0

    def append(self, image: bytes) -> None:
        self._images.append(image)
        self._bytes += len(image)
        if self._bytes >= _GROUP_BYTES or len(self._images) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._images:
            return
        stop = self.written + len(self._images)
        here = slice(self.written, stop)
        columns: dict[str, Any] = {name: getattr(self._rows, name)[here].tolist() for name in COLUMNS}
        columns["role"] = [role or None for role in columns["role"]]
        columns |= {name: values[here] for name, values in self._extra.items()}
        columns[self._writer.schema.names[-1]] = self._images
        self._writer.write_table(pa.table(columns, schema=self._writer.schema))
        self.written, self._images, self._bytes = stop, [], 0


@contextmanager
def open_rows(
    path: Path,
    rows: Rows,
    *,
    picture: str,
    families: Sequence[str] | None = None,
    dhashes: Sequence[bytes] | None = None,
) -> Iterator[ImageTableWriter]:
    """A file for `rows` whose last column is named `picture`; it appears when the block ends with every row written.

    `families` name the clusters that intervals draw; `dhashes` are difference hashes, for the audit.

    Raises:
        AssertionError: the block ended before every row was appended; no file is left.
    """
    extra = {name: values for name, values in (("family", families), ("dhash", dhashes)) if values is not None}
    schema = pa.schema(
        [
            *((name, pa.bool_() if name == "seen" else pa.string()) for name in COLUMNS),
            *((name, _EXTRA_COLUMNS[name]) for name in extra),
            (picture, pa.binary()),
        ]
    )
    with atomic_file(path) as file:
        # Images are compressed already; dictionaries pay only for values that repeat.
        compression = {name: "none" if name == picture else "zstd" for name in schema.names}
        dictionaries = ["group", "role", "split", "family"]
        options = {"compression": compression, "use_dictionary": dictionaries, "write_statistics": False}
        options["write_page_checksum"] = True  # which readers compare
        with pq.ParquetWriter(file, schema, **options) as writer:
            out = ImageTableWriter(writer, rows, extra)
            yield out
            out.flush()
        if out.written != len(rows):
            raise AssertionError(f"{path}: {out.written} of {len(rows)} rows written")

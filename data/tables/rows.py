"""The rows of a data set, as images.parquet and rows.parquet hold them, and how to read them back."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.errors import PREPARE_AGAIN, DataError

COLUMNS = ("id", "group", "role", "split", "seen", "sha256")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Rows:
    """What is known of each image but the image itself; all arrays have length N. Row i of every file of a data set
    (images.parquet, rows.parquet, features.npy) is the same image.

    Strings are object arrays, so that `rows.split == "test"` is a mask whatever the lengths of names.
    """

    id: NDArray[np.object_]
    group: NDArray[np.object_]
    role: NDArray[np.object_]  # "left" rows are queries, "right" rows are the gallery; "" without roles
    split: NDArray[np.object_]  # train, val, test; submit where the truth is not known
    seen: NDArray[np.bool_]  # training sees this row's group: the group has rows in train
    sha256: NDArray[np.object_]  # hex, of the encoded image

    def __len__(self) -> int:
        return len(self.id)

    @property
    def has_roles(self) -> bool:
        """Whether groups are pairs of a left and a right image."""
        return len(self) > 0 and bool((self.role != "").all())

    def queries_and_gallery(self, part: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of `part` that are queries and those that they are searched in: all for both without roles."""
        if not len(part) or not (self.role[part] != "").all():
            return part, part
        return part[self.role[part] == "left"], part[self.role[part] == "right"]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the group of each row as a number, in the order of sorted group names."""
        return np.unique(self.group.astype(str), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def images_hash(self) -> str:
        """sha256 over the ordered (id, sha256) pairs: these images in this order."""
        return _digest(self.id, self.sha256)

    @cached_property
    def hash(self) -> str:
        """sha256 over every column: these images, groups, roles and splits in this order."""
        seen = np.where(self.seen, "1", "0").astype(object)
        return _digest(self.id, self.sha256, self.group, self.role, self.split, seen)

    def where(self, *, split: str | None = None, role: str | None = None) -> NDArray[np.int64]:
        """Row numbers of a split and a role, ascending."""
        mask = np.ones(len(self), dtype=bool)
        if split is not None:
            mask &= self.split == split
        if role is not None:
            mask &= self.role == role
        return np.flatnonzero(mask).astype(np.int64)


def read_rows(path: Path) -> Rows:
    """Read images.parquet or rows.parquet without its pictures.

    Raises:
        DataError: the file is missing or damaged, is not parquet or lacks a column.
    """
    with _opened(path, strings=[name for name in COLUMNS if name != "seen"]) as file:
        missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise DataError(f"{path}: no column '{missing[0]}'; run `dvc repro prepare`")
        text = {name: _strings(file.read(columns=[name]).column(0)) for name in COLUMNS if name != "seen"}
        seen = np.array(file.read(columns=["seen"]).column(0).to_pylist(), dtype=bool)
        if {len(seen), *map(len, text.values())} != {file.metadata.num_rows}:
            raise pa.ArrowInvalid("columns of different lengths")
    return Rows(**text, seen=seen)


def read_images(path: Path, rows: NDArray[np.int64]) -> list[bytes]:
    """Encoded images of chosen rows of images.parquet, in the order of `rows`."""
    return _chosen(path, "image", rows)


def read_thumbs(path: Path, rows: NDArray[np.int64]) -> list[bytes]:
    """JPEG thumbnails of chosen rows of rows.parquet, in the order of `rows`."""
    return _chosen(path, "thumb", rows)


def read_dhashes(path: Path) -> NDArray[np.uint64]:
    """(N, 4) the 256 bits of each row's difference hash, from rows.parquet."""
    column = _column(path, "dhash")
    return np.frombuffer(b"".join(column), dtype=np.uint64).reshape(len(column), -1)


def read_families(path: Path) -> NDArray[np.object_]:
    """(N,) the family of each row of rows.parquet: groups that are variants of one idea share one."""
    return np.array(_column(path, "family"), dtype=object)


def _column(path: Path, name: str) -> list[Any]:
    with _opened(path) as file:
        if name not in file.schema_arrow.names:
            raise DataError(f"{path}: no column '{name}'; run `dvc repro prepare`")
        values = file.read(columns=[name]).column(0).to_pylist()
        if len(values) != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"column {name} is cut off")
        return values


def _strings(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Null becomes ""; equal strings are one object, so that a million rows of a few groups stay small.

    Neither `fill_null` nor `to_numpy`: pyarrow imports pandas first, which takes half a second. Nor, where there are
    no nulls, `dictionary_encode`, which imports pyarrow.compute.
    """
    if column.null_count:
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode(null_encoding="encode")
    else:
        encoded = column.unify_dictionaries().combine_chunks()
    values = [value or "" for value in encoded.dictionary.to_pylist()]
    return np.array(values, dtype=object)[np.asarray(np.from_dlpack(encoded.indices), np.int32)]


def _chosen(path: Path, column: str, rows: NDArray[np.int64]) -> list[bytes]:
    """Read only the row groups that hold a chosen row."""
    rows = np.asarray(rows, dtype=np.int64)
    found: dict[int, bytes] = {}
    with _opened(path) as file:
        total = file.metadata.num_rows
        if len(rows) and not (rows.min() >= 0 and rows.max() < total):
            raise DataError(f"{path}: row {rows.max() if rows.min() >= 0 else rows.min()} asked for, it has {total}")
        start = 0
        wanted = np.unique(rows)
        for index in range(file.num_row_groups):
            stop = start + file.metadata.row_group(index).num_rows
            inside = wanted[(wanted >= start) & (wanted < stop)]
            if len(inside):
                part = file.read_row_group(index, columns=[column], use_threads=False).column(0)
                found.update((int(row), part[int(row - start)].as_py()) for row in inside)
            start = stop
    return [found[int(row)] for row in rows]


@contextmanager
def _opened(path: Path, *, strings: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """`strings`: columns to read as dictionary arrays. The checksum of every page that is read is compared.

    Raises:
        DataError: not here, or what the block reads is damaged.
    """
    options: dict[str, Any] = {"memory_map": False, "page_checksum_verification": True}
    try:
        with pq.ParquetFile(path, read_dictionary=list(strings), **options) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path}: not here; run `dvc repro prepare`") from None
    except KeyError as error:  # of `strings`
        name = str(error.args[0], "utf-8", "replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise DataError(f"{path}: no column '{name}'; run `dvc repro prepare`") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError, IndexError, MemoryError) as error:
        if getattr(error, "errno", None):  # of the system; Arrow's have none
            raise
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path}: not a whole parquet file ({reason}); {PREPARE_AGAIN}") from None


def _digest(*columns: NDArray[np.object_]) -> str:
    digest = hashlib.sha256()
    for values in zip(*columns, strict=True):
        digest.update("\x1f".join(values).encode())
        digest.update(b"\x1e")
    return digest.hexdigest()

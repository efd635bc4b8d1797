"""The features directory: `features.npy` and the sidecar `features.json` that every load checks. numpy only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data.files.atomic import atomic_file, sha256_file, write_bytes
from features.errors import FeatureError, one_line
from features.storage.sealed_json import seal, unseal

ARRAY, SIDECAR = "features.npy", "features.json"
BLOCK = 4096  # rows read at once by the check for NaN


@dataclass(frozen=True)
class Sidecar:
    """The content of features.json. `provenance`: all that decided the features (backbone, weights, ...)."""

    shape: tuple[int, ...]
    npy_sha256: str
    images_hash: str
    provenance: dict[str, Any]


class RowWriter:
    """Writes rows of a .npy in any order, a block at a time. `check_whole` checks that every row was written."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._row_bytes = int(np.prod(shape[1:])) * 2
        self._file = file
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype("<f2")), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()
        self._written = np.zeros(shape[0], bool)

    def write(self, rows: np.ndarray, values: np.ndarray) -> None:
        """`values` (n, ...) go to `rows` (n,). Runs of neighbours are written in one call.

        Raises:
            FeatureError: a value is NaN or infinite in float16.
        """
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, "<f2")
        assert values.shape == (len(rows), *self.shape[1:]), (values.shape, len(rows), self.shape)
        bad = ~np.isfinite(values).reshape(len(rows), -1).all(1)
        if bad.any():
            raise FeatureError(f"row {rows[bad][0]} is NaN or infinite in float16")
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        for run, block in zip(np.split(rows, cuts), np.split(values, cuts), strict=True):
            if len(run):
                self._file.seek(self._start + int(run[0]) * self._row_bytes)
                self._file.write(block.tobytes())
        self._written[rows] = True

    def check_whole(self) -> None:
        """
        Raises:
            AssertionError: a row was never written: a bug of the caller.
        """
        assert self._written.all(), f"{(~self._written).sum()} rows were never written, first {self._written.argmin()}"


@contextmanager
def new_features(
    folder: Path, shape: tuple[int, ...], *, images_hash: str, provenance: dict[str, Any]
) -> Iterator[RowWriter]:
    """Write a features directory row by row; its files get their names when every row is on the disk.

    `shape`: (N, D) or (N, V, D). `provenance`: what decides the features (backbone, weights, preprocessing, versions).
    It is written to the sidecar unchanged, so it must be equal in every run: no time, host name or path.

    Raises:
        FeatureError: from `RowWriter.write`. OSError: the disk. In both cases no file is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SIDECAR).unlink(missing_ok=True)  # an old sidecar must not stand beside the new array
    with atomic_file(folder / ARRAY) as file:
        writer = RowWriter(file, shape)
        yield writer
        writer.check_whole()
    sidecar = Sidecar(
        shape=shape, npy_sha256=sha256_file(folder / ARRAY), images_hash=images_hash, provenance=provenance
    )
    write_bytes(folder / SIDECAR, seal(asdict(sidecar)))


def save_features(folder: Path, features: np.ndarray, *, images_hash: str, provenance: dict[str, Any]) -> None:
    """Write `features` (N, D) or (N, V, D) as float16, with its sidecar. Errors as `new_features`."""
    with new_features(folder, features.shape, images_hash=images_hash, provenance=provenance) as writer:
        writer.write(np.arange(len(features)), features)


def read_sidecar(folder: Path) -> Sidecar:
    """The sidecar of the features directory `folder`.

    Raises:
        FeatureError: it is missing, changed, or of another version.
    """
    path = folder / SIDECAR
    try:
        content = unseal(path.read_bytes())
        shape, provenance = content.pop("shape"), content.pop("provenance")
        if not all(type(size) is int and size > 0 for size in shape) or not isinstance(provenance, dict):
            raise ValueError("shape or provenance")
        return Sidecar(shape=tuple(shape), provenance=provenance, **content)
    except (FileNotFoundError, NotADirectoryError):
        raise FeatureError(f"{path}: not here; {_again(folder)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FeatureError(f"{path}: no sidecar of this version ({one_line(error, 80)}); {_again(folder)}") from None


def load_features(folder: Path, *, images_hash: str, views: bool = False) -> np.ndarray:
    """Read and check a features directory. Row `i` belongs to row `i` of the images with `images_hash`.

    Returns:
        (N, D) float16: the only view, or the plain one of several. With `views`: (N, V, D), V = 1 if there is one.

    Raises:
        FeatureError: missing, of other images or in another order, cut off, changed since it was written, NaN.
    """
    sidecar = read_sidecar(folder)
    path = folder / ARRAY
    if sidecar.images_hash != images_hash:
        raise FeatureError(f"{folder}: made from other images, or in another order; {_again(folder)}")
    if not path.is_file():
        raise FeatureError(f"{path}: not here; {_again(folder)}")
    if sha256_file(path) != sidecar.npy_sha256:
        raise FeatureError(f"{path}: its sha256 is not that in its sidecar (cut off or changed); {_again(folder)}")
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        raise FeatureError(f"{path}: not a .npy file; {_again(folder)}") from None
    if features.shape != sidecar.shape or features.dtype != np.float16 or features.ndim not in (2, 3):
        found = f"{features.dtype} {features.shape}"
        raise FeatureError(f"{path}: {found}, its sidecar has float16 {sidecar.shape}; {_again(folder)}")
    for start in range(0, len(features), BLOCK):
        good = np.isfinite(features[start : start + BLOCK]).reshape(-1, features[0].size).all(1)
        if not good.all():
            raise FeatureError(f"{path}: row {start + good.argmin()} is NaN or infinite; {_again(folder)}")
    if features.ndim == 2:
        return np.array(features[:, None] if views else features)
    return np.array(features if views else features[:, 0])


def _again(folder: Path) -> str:
    return f"delete {folder} and run `dvc repro`; if that brings it back, `python -m pipeline check` first"

"""Batches of uint8 pixels out of images.parquet: worker processes read, decode and resize; memory stays flat."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.errors import PREPARE_AGAIN
from data.files.atomic import sha256_bytes
from data.images.decode import Unusable, decode
from features.backbones.preprocess import Preprocess
from features.errors import FeatureError, one_line

COLUMNS = ["id", "image", "sha256"]


class ImageBatches(Dataset):
    """Item `b`: the images of `batches[b]` (rows, ascending), (len, K, 3, S, S) uint8, or what went wrong, as a string.

    A string and not an exception, which would lose its type or gain a page of traceback between processes.
    """

    def __init__(self, source: Path, batches: Sequence[np.ndarray], preprocess: Preprocess, crops: int) -> None:
        self.source, self.batches, self.preprocess, self.crops = source, batches, preprocess, crops
        self._file: pq.ParquetFile | None = None  # opened in the worker: file handles do not travel
        self._group, self._table = -1, pa.table({})

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Tensor | str:
        rows = self.batches[index]
        size = self.preprocess.size
        pixels = torch.empty(len(rows), 1 + self.crops, 3, size, size, dtype=torch.uint8)
        try:
            for slot, (name, blob, digest) in enumerate(self._read(rows)):
                try:
                    if sha256_bytes(blob) != digest:
                        raise Unusable("changed", "its sha256 is another")
                    pixels[slot] = self.preprocess.views(decode(blob, verified=True), self.crops)
                except Unusable as error:
                    return f"image '{name}' in {self.source}: {error}; {PREPARE_AGAIN}"
        except (pa.ArrowException, OSError) as error:
            return f"{self.source}: not a whole parquet file ({one_line(error, 80)}); {PREPARE_AGAIN}"
        return pixels

    def _read(self, rows: np.ndarray) -> Iterator[tuple[str, bytes, str]]:
        if self._file is None:
            self._file = pq.ParquetFile(self.source, page_checksum_verification=True)
            counts = [self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)]
            self._starts = np.cumsum([0, *counts])
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group, row in zip(groups.tolist(), rows.tolist(), strict=True):
            if self._group != group:
                self._group, self._table = group, self._file.read_row_group(group, columns=COLUMNS)
            offset = row - int(self._starts[group])
            name, blob, digest = (self._table[column][offset].as_py() for column in COLUMNS)
            yield name, blob, digest


def load_images(
    source: Path, batches: Sequence[np.ndarray], *, preprocess: Preprocess, crops: int, workers: int, pin_memory: bool
) -> Iterator[Tensor]:
    """(len(batches[b]), 1 + crops, 3, S, S) uint8 for every b, in order. `workers` 0 decodes in this process; else
    they start at once: they decode while the caller loads its network, and fork before it uses a GPU.

    Raises:
        FeatureError: an image that does not decode (`prepare` rejects such, so the file has changed); a killed worker.
    """
    workers = min(workers, len(batches))
    loader = DataLoader(
        ImageBatches(source, batches, preprocess, crops),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=2 if workers else None,
    )
    return _checked(iter(loader))


def _checked(loaded: Iterator[Tensor | str]) -> Iterator[Tensor]:
    try:
        for pixels in loaded:
            if isinstance(pixels, str):
                raise FeatureError(pixels)
            yield pixels
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise FeatureError(
            "a worker that decodes images was killed: out of memory, or of shared memory (/dev/shm); "
            "run again with a smaller features.workers or features.batch"
        ) from error

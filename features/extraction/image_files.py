"""Features of image files in a folder: processes read, decode and resize, replicas compute, shards keep the result."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.files.archives import read_file
from data.files.atomic import sha256_bytes
from data.images.decode import Unusable, decode
from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone
from features.errors import FeatureError
from features.extraction.extract import SHARD
from features.extraction.float16 import to_float16
from features.extraction.replicas import Compute, inference_module, run_replicas
from features.extraction.shards import digests

FEW = 64  # files that are read before worker processes have started


class NotRead(Unusable):
    """The bytes could not be read; another time they may be."""


FileResult = str | Unusable  # the sha256 of an image file, or why it is no image


class FileBatches(Dataset):
    """Item `b`: what each of `batches[b]` is, and pixels (m, 1 + crops, 3, S, S) uint8 of those that are images."""

    def __init__(self, batches: Sequence[Sequence[Path]], preprocess: Preprocess, crops: int) -> None:
        self.batches, self.preprocess, self.crops = batches, preprocess, crops

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[list[FileResult], Tensor]:
        results: list[FileResult] = []
        size = self.preprocess.size
        pixels = [torch.empty(0, 1 + self.crops, 3, size, size, dtype=torch.uint8)]
        for path in self.batches[index]:
            content = read_file(path)
            try:
                if isinstance(content, Unusable):
                    raise NotRead(content.reason, content.detail)
                pixels.append(self.preprocess.views(decode(content), self.crops)[None])
                results.append(sha256_bytes(content))
            except Unusable as why:
                results.append(why)
        return results, torch.cat(pixels)


def extract_files(
    paths: Sequence[Path],
    network: LoadedBackbone,
    *,
    compute: Compute,
    save: Callable[[np.ndarray, np.ndarray], None],
    progress: Callable[[int], None],
) -> list[FileResult]:
    """What each of `paths` is: its sha256, or why it is no image.

    `save(keys (n,), features (n, V, D) float16)` is called with the features of some images at a time, as `write_shard`
    takes them.

    Raises:
        FeatureError: naming the file, a feature that is NaN or too large for float16; a killed worker.
    """
    batches = [paths[start : start + compute.batch] for start in range(0, len(paths), compute.batch)]
    results: list[FileResult] = []
    pending: deque[list[tuple[Path, str]]] = deque()  # images of the batches that are in the replicas

    def usable() -> Iterator[Tensor]:
        for batch, (kinds, pixels) in zip(batches, _load(batches, network, compute), strict=True):
            results.extend(kinds)
            progress(len(kinds))
            if len(pixels):
                pending.append([(path, kind) for path, kind in zip(batch, kinds, strict=True) if isinstance(kind, str)])
                yield pixels

    keys: list[str] = []
    features: list[np.ndarray] = []

    def flush() -> None:
        if features:
            save(digests(np.array(keys)), np.concatenate(features))
        keys.clear()
        features.clear()

    for batch in run_replicas(inference_module(network, compute), network, compute, usable()):
        images = pending.popleft()
        features.append(to_float16(batch, lambda place, images=images: str(images[place][0])))
        keys += [key for _, key in images]
        if len(features) == SHARD:
            flush()
    flush()
    return results


def _load(
    batches: Sequence[Sequence[Path]], network: LoadedBackbone, compute: Compute
) -> Iterator[tuple[list[FileResult], Tensor]]:
    few = sum(map(len, batches)) <= FEW
    workers = 0 if few else min(compute.workers, len(batches))
    pixels = FileBatches(batches, network.preprocess, network.crops)
    try:
        yield from DataLoader(pixels, batch_size=None, num_workers=workers, prefetch_factor=2 if workers else None)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise FeatureError("a worker that decodes images was killed: out of memory; free some and run again") from error

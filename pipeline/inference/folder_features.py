"""The features of the images in a folder: what was seen before comes from the scratch cache."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.files.archives import open_tree
from data.images.decode import Unusable
from features.backbones.registry import versions
from features.extraction.image_files import extract_files
from features.extraction.precision import dtype_name, matching_dtype
from features.extraction.replicas import Compute
from features.extraction.shards import digests, feature_shape, fill, missing_rows
from features.storage.concat import concatenate
from pipeline.extraction import compute_here, extraction_fingerprint, scratch_shards
from pipeline.inference.feature_sources import Part
from pipeline.inference.files_index import FilesIndex, open_index, state
from pipeline.inference.predictor import ImageHead

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]  # as pipeline.progress, of so many files


@dataclass(frozen=True)
class FolderFeatures:
    names: list[str]  # (N,) relative to the folder, sorted
    keys: list[str]  # (N,) sha256
    rejected: list[tuple[str, Unusable]]
    made_by: list[str]  # what decided the numbers
    features: Callable[[], NDArray[np.float16]]  # (N, D)


@dataclass
class Rows:
    """Rows of an array in memory, written as `fill` writes a file."""

    array: NDArray[np.float16]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def write(self, rows: NDArray[np.int64], values: NDArray[np.float16]) -> None:
        self.array[rows] = values


def folder_features(head: ImageHead, folder: Path, *, progress: Progress) -> FolderFeatures:
    """Names, keys and features of every image in `folder`. `progress(n)` is called when n files are to be read.

    Raises:
        DataError: no folder. FeatureError: a feature that is not a number.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; name a folder of images")
    tree = open_tree(folder)
    names = [name for name in tree.names if name not in tree.problems]
    states = {name: state(folder / name) for name in names}
    index = open_index(folder)
    shards: list[Path] = []
    made_by: list[str] = []
    for part in head.feature_set.parts:
        compute = compute_here(dtype=matching_dtype(part.made_by, head.device))
        shards.append(_shards(part, compute))
        made_by.append(shards[-1].name)
        todo = _unread(names, states, index, shards[-1])
        if todo:
            paths = [folder / name for name in todo]
            with progress(len(todo)) as advance:
                try:
                    found = extract_files(paths, part.network, compute=compute, folder=shards[-1], progress=advance)
                except OSError:  # a cache that is full or may not be written to
                    shards[-1] = _not_kept(shards[-1])
                    found = extract_files(paths, part.network, compute=compute, folder=shards[-1], progress=advance)
            index.known.update((name, (states[name], kind)) for name, kind in zip(todo, found, strict=True))
    index.known = {name: index.known[name] for name in names}
    index.save()
    good = [name for name in names if isinstance(index.known[name][1], str)]
    keys = [index.known[name][1] for name in good]
    return FolderFeatures(
        names=good,
        keys=keys,
        rejected=sorted(
            [
                *((name, index.known[name][1]) for name in names if isinstance(index.known[name][1], Unusable)),
                *tree.problems.items(),
            ],
            key=lambda pair: pair[0],
        ),
        made_by=made_by,
        features=lambda: _gather(head, shards, keys),
    )


def _not_kept(shards: Path) -> Path:
    """A temporary folder with what `shards` holds, for features that cannot be kept."""
    folder = Path(tempfile.mkdtemp(prefix="lookalike-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in shards.glob("*.safetensors"):
        (folder / path.name).symlink_to(path.absolute())
    return folder


def _unread(names: Sequence[str], states: dict, index: FilesIndex, shards: Path) -> list[str]:
    """Names that are new, changed, or whose features no shard has."""
    same = {name for name in names if states[name] is not None and index.known.get(name, (None,))[0] == states[name]}
    images = [name for name in names if name in same and isinstance(index.known[name][1], str)]
    keys = digests(np.array([index.known[name][1] for name in images], dtype=object))
    lost = {images[row] for row in missing_rows(shards, keys)} if images else set()
    return [name for name in names if name not in same or name in lost]


def _gather(head: ImageHead, shards: Sequence[Path], keys: Sequence[str]) -> NDArray[np.float16]:
    parts = []
    for folder in shards:
        rows = Rows(np.empty((len(keys), feature_shape(folder)[1]), np.float16))
        fill(folder, digests(np.array(keys, dtype=object)), rows)
        parts.append(rows.array)
    if len(parts) == 1:
        return parts[0]
    return concatenate(*parts, weights=tuple(part.weight for part in head.feature_set.parts))


def _shards(part: Part, compute: Compute) -> Path:
    """Where `extract` keeps the features of this network too: a picture of the data set is known already."""
    made_by = part.made_by | {"dtype": dtype_name(compute.dtype), "versions": versions(part.entry)}
    if not part.network.average:
        made_by["views"] = ["plain"]
    return scratch_shards(made_by, compute, code=extraction_fingerprint(part.entry.library))

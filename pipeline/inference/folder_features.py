"""The features of the images in a folder: what was seen before comes from the scratch cache."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError, Unusable
from data.files.archives import Tree, open_tree
from data.files.atomic import sha256_bytes
from features.backbones.registry import versions
from features.extraction.image_files import NotRead, extract_files
from features.extraction.precision import dtype_name, matching_dtype
from features.extraction.replicas import Compute
from features.extraction.shards import digests, feature_shape, fill_from, missing_rows, read_shards, write_shard
from features.storage.concat import concatenate
from features.storage.features_files import RowWriter
from pipeline.extraction import compute_here, extraction_fingerprint, scratch_shards
from pipeline.inference.feature_sources import FeatureSource
from pipeline.inference.files_index import Known, open_files_index, open_verdicts, state
from pipeline.inference.keep import keep
from pipeline.inference.predictor import Predictor

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]  # so many files; `read` or `embed`
READERS = 8  # threads: reading waits for the disk, and hashing leaves the interpreter to others


@dataclass(frozen=True)
class FolderFeatures:
    names: list[str]  # (N,) relative to the folder, sorted
    keys: list[str]  # (N,) sha256
    rejected: list[tuple[str, Unusable]]
    provenance: list[str]  # what decided the numbers
    features: Callable[[], NDArray[np.float16]]  # (N, D)
    notes: tuple[str, ...] = ()  # what of the folder is not read


@dataclass
class Scratch:
    """Features of one network by the sha256 of images: shards of the scratch cache, and what could not be kept."""

    folder: Path
    unkept: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # as `read_shards` yields them

    def save(self, keys: np.ndarray, features: np.ndarray) -> None:
        if not keep(lambda: write_shard(self.folder, keys, features)):
            self.unkept.append((keys, features))

    def missing(self, hashes: Sequence[str]) -> set[str]:
        """Those of `hashes` without features."""
        keys = digests(np.array(hashes, dtype=object))
        return {str(hashes[row]) for row in missing_rows(self.folder, keys)} if len(hashes) else set()

    def gather(self, hashes: Sequence[str]) -> NDArray[np.float16]:
        """(N, D), the first view."""
        width = self.unkept[0][1].shape[-1] if self.unkept else feature_shape(self.folder)[1]
        rows, keys = Rows(np.empty((len(hashes), width), np.float16)), digests(np.array(hashes, dtype=object))
        fill_from(chain(read_shards(self.folder), self.unkept), keys, cast(RowWriter, rows))
        return rows.array


@dataclass
class Rows:
    """Rows of an array in memory, written as `fill_from` writes a file."""

    array: NDArray[np.float16]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def write(self, rows: NDArray[np.int64], values: NDArray[np.float16]) -> None:
        self.array[rows] = values


def folder_features(head: Predictor, folder: Path, *, progress: Progress) -> FolderFeatures:
    """Names, keys and features of every image in `folder`. `progress(n, what)` is called for n files.

    New and changed files are read and hashed first. Through the network goes what no shard has, so a renamed folder is
    only read, and a killed run goes on with the shard under way.

    Raises:
        DataError: no folder. FeatureError: a feature that is not a number.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; name a folder of images")
    tree = open_tree(folder)
    index, verdicts = open_files_index(folder), open_verdicts()
    hashes, unread = _hashes(tree, folder, index, progress=progress)
    index.values = {name: index.values[name] for name in tree.names if name in index.values}
    index.save()
    scratches = []
    for part in head.feature_set.parts:
        compute = compute_here(dtype=matching_dtype(part.provenance, head.device))
        scratches.append(Scratch(_shards(part, compute)))
        name_of = {digest: name for name, digest in reversed(hashes.items()) if digest not in verdicts.values}
        names = sorted(name_of[digest] for digest in scratches[-1].missing([*name_of]))
        if not names:
            continue
        with progress(len(names), "embed") as advance:
            paths = [folder / name for name in names]
            kinds = extract_files(paths, part.network, compute=compute, save=scratches[-1].save, progress=advance)
        for name, kind in zip(names, kinds, strict=True):
            if isinstance(kind, str):
                hashes[name] = kind  # it may have changed since it was hashed
            elif isinstance(kind, NotRead):
                unread |= {other: kind for other, digest in hashes.items() if digest == hashes[name]}
            else:
                verdicts.values[hashes[name]] = [kind.reason, kind.detail]
    verdicts.save()
    rejected = unread | {
        name: Unusable(*verdicts.values[digest]) for name, digest in hashes.items() if digest in verdicts.values
    }
    good = [name for name in tree.names if name not in rejected]
    keys = [hashes[name] for name in good]
    return FolderFeatures(
        names=good,
        keys=keys,
        rejected=sorted(rejected.items()),
        provenance=[scratch.folder.name for scratch in scratches],
        features=lambda: _side_by_side(head, [scratch.gather(keys) for scratch in scratches]),
        notes=tree.notes,
    )


def _hashes(
    tree: Tree, folder: Path, index: Known, *, progress: Progress
) -> tuple[dict[str, str], dict[str, Unusable]]:
    """name -> sha256 of each file, and name -> why it could not be read. New and changed files are read."""
    states = {name: state(folder / name) for name in tree.names}
    changed = [name for name in tree.names if states[name] is None or index.values.get(name, [])[:-1] != states[name]]
    unread: dict[str, Unusable] = {}

    def read(name: str) -> str | Unusable:
        content = tree.read(name)
        return content if isinstance(content, Unusable) else sha256_bytes(content)

    if changed:
        with progress(len(changed), "read") as advance, ThreadPoolExecutor(READERS) as threads:
            for name, found in zip(changed, threads.map(read, changed), strict=True):
                index.values.pop(name, None)
                if isinstance(found, Unusable):
                    unread[name] = found
                elif (before := states[name]) is not None:
                    index.values[name] = [*before, found]
                advance(1)
    return {name: index.values[name][-1] for name in tree.names if name in index.values}, unread


def _side_by_side(head: Predictor, parts: Sequence[NDArray[np.float16]]) -> NDArray[np.float16]:
    if len(parts) == 1:
        return parts[0]
    return concatenate(*parts, weights=head.feature_set.weights)


def _shards(part: FeatureSource, compute: Compute) -> Path:
    """Where `extract` keeps the features of this network too: a picture of the data set is known already."""
    provenance: Mapping = part.provenance | {"dtype": dtype_name(compute.dtype), "versions": versions(part.entry)}
    if not part.network.average:
        provenance = provenance | {"views": ["plain"]}
    return scratch_shards(provenance, compute, code=extraction_fingerprint(part.entry.library))

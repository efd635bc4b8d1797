"""What is searched: the prepared data set, or any folder of images, as embeddings of the head that searches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.datasets.source import shown
from data.errors import DataError
from data.files.archives import read_file
from data.files.atomic import sha256_bytes
from data.files.cache import cache_root
from data.files.sealed_files import is_whole, sealed_file
from data.images.decode import Unusable
from data.tables.rows import read_thumbs
from features.storage.features_files import load_features
from pipeline.fingerprint import fingerprint
from pipeline.head_data import read_head_data
from pipeline.inference.folder_features import Progress, folder_features
from pipeline.inference.keep import keep
from pipeline.inference.predictor import Predictor

THIS = "pipeline/inference/search_index.py"
KEPT = 12  # arrays of embeddings in the scratch cache
SHOWN = 5  # files that are no images, named in a message


@dataclass(frozen=True)
class Gallery:
    """N images; `embeddings` is their array as the head compares them. Made when it is asked for: it may take long."""

    title: str
    names: list[str]
    groups: list[str] | None  # of a prepared data set
    keys: list[str]  # sha256 of each image's bytes
    rejected: list[tuple[str, Unusable]]  # files that are no images
    embeddings: Tensor  # (N, W), on the head's device
    key: str  # equal for equal embeddings
    pictures: Callable[[Sequence[int]], list[bytes]]  # encoded images of chosen rows, to show
    licence: Callable[[], list[str]] = list  # of a published data set: shown wherever its pictures are
    notes: tuple[str, ...] = ()  # what of a folder is not read

    def __len__(self) -> int:
        return len(self.names)


def prepared_gallery(head: Predictor, folder: Path, *, least: int = 1) -> Gallery:
    """Every image of the prepared data set in `folder`, artifacts/<dataset>, from the features that the head saw.

    Raises:
        DataError, FeatureError, HeadError: what the head was trained on is not there, or has changed; or the data set
            has fewer than `least` images.
    """
    rows, protocol = read_head_data(head.trained, folder)
    check_enough(folder.name, len(rows), least)
    source = folder / "features" / head.feature_set.name
    key = _key(head, head.trained.features_sha256)
    embeddings = cached_embeddings(key, head, lambda: load_features(source, images_hash=rows.images_hash))
    return Gallery(
        title=folder.name,
        names=rows.id.tolist(),
        groups=rows.group.tolist(),
        keys=rows.sha256.tolist(),
        rejected=[],
        embeddings=embeddings,
        key=key,
        pictures=lambda chosen: read_thumbs(folder / "rows.parquet", np.array(chosen, np.int64)),
        licence=lambda: [f"pictures: {protocol.licence}"],
    )


def folder_gallery(head: Predictor, folder: Path, *, least: int = 1, progress: Progress) -> Gallery:
    """Every image in `folder` and the folders in it; only new and changed files go through the network.

    Raises:
        DataError: no folder, or fewer than `least` images in it.
    """
    found = folder_features(head, folder, progress=progress)
    if not found.names:
        raise DataError(no_images(folder, found.rejected))
    check_enough(str(folder), len(found.names), least)
    key = _key(head, sha256_bytes("\n".join([*found.provenance, *found.keys]).encode()))
    return Gallery(
        title=str(folder),
        names=found.names,
        groups=None,
        keys=found.keys,
        rejected=found.rejected,
        embeddings=cached_embeddings(key, head, found.features),
        key=key,
        pictures=lambda chosen: [_content(folder / found.names[row]) for row in chosen],
        notes=found.notes,
    )


def check_enough(name: str, count: int, least: int) -> None:
    """
    Raises:
        DataError: more neighbours asked for than there are images.
    """
    if count < least:
        raise DataError(f"--k {least}: {name} has {count} images; ask for at most {count}")


def no_images(folder: Path, rejected: Sequence[tuple[str, Unusable]]) -> str:
    if not rejected:
        return f"{folder}: no images in it"
    return f"{folder}: none of its {len(rejected)} files is an image: {named(rejected)}"


def named(rejected: Sequence[tuple[str, Unusable]]) -> str:
    """The first files that are no images, each with the reason."""
    more = f", and {len(rejected) - SHOWN} more" if len(rejected) > SHOWN else ""
    return ", ".join(f"{shown(name)} ({why})" for name, why in rejected[:SHOWN]) + more


def embeddings_path(key: str) -> Path:
    return cache_root() / "embeddings" / f"{key}.npy"


def cached_embeddings(key: str, head: Predictor, features: Callable[[], NDArray[np.float16]]) -> Tensor:
    """Embeddings of `features()` (N, D), kept in the scratch cache: a gallery goes through the head once."""
    path = embeddings_path(key)
    if is_whole(path):
        embeddings = np.load(path, mmap_mode="c", allow_pickle=False)
    else:  # none yet, or damaged
        embeddings = head.embeddings_of(features()).cpu().numpy()
        keep(lambda: _save(path, embeddings))
    return torch.from_numpy(embeddings).to(head.device)


def _save(path: Path, embeddings: NDArray[np.float32]) -> None:
    with sealed_file(path) as file:
        np.save(file, embeddings)
    _prune(path.parent)


def _prune(folder: Path) -> None:
    """Every head and every state of a folder has embeddings of its own: the last `KEPT` stay, with their indexes."""
    old = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT:]
    for path in old:
        for cached in folder.glob(f"{path.stem}.*"):
            cached.unlink(missing_ok=True)


def _key(head: Predictor, features: str) -> str:
    return sha256_bytes("\n".join([head.sha256, features, fingerprint(THIS)]).encode())[:40]


def _content(path: Path) -> bytes:
    content = read_file(path)
    if isinstance(content, Unusable):
        raise DataError(f"{path}: {content}; it was there a moment ago: search again")
    return content

"""CIFAR-10 and CIFAR-100: pickled batches in a tar archive, read without letting the pickles run anything."""

import gzip
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.datasets.arrays import array_source
from data.datasets.source import Source
from data.errors import DataError
from data.files.archives import check_member
from data.files.bounded import BoundedFile
from data.files.plain_pickle import load_pickle, text

_MAX_UNPACKED = 512 << 20  # bytes; the published archives hold 186 MB
_TEN = {
    "train": tuple(f"cifar-10-batches-py/data_batch_{batch}" for batch in range(1, 6)),
    "test": ("cifar-10-batches-py/test_batch",),
}
_HUNDRED = {"train": ("cifar-100-python/train",), "test": ("cifar-100-python/test",)}


def cifar10(archive: Path) -> Source:
    """Groups are the 10 classes."""
    files = _members(archive, ["cifar-10-batches-py/batches.meta", *_TEN["train"], *_TEN["test"]])
    return _source(archive, files, _TEN, "cifar-10-batches-py/batches.meta", "labels", "label_names", "class")


def cifar100(archive: Path, level: str) -> Source:
    """Groups are the 100 classes (`class`) or the 20 superclasses (`superclass`)."""
    files = _members(archive, ["cifar-100-python/meta", *_HUNDRED["train"], *_HUNDRED["test"]])
    kind = "fine" if level == "class" else "coarse"
    return _source(archive, files, _HUNDRED, "cifar-100-python/meta", f"{kind}_labels", f"{kind}_label_names", level)


def _source(
    archive: Path,
    files: Mapping[str, bytes],
    batches: Mapping[str, tuple[str, ...]],
    meta: str,
    labels: str,
    names: str,
    level: str,
) -> Source:
    try:
        groups = [text(name) for name in load_pickle(files[meta])[names]]
        parts = []
        for part, members in batches.items():
            loaded = [load_pickle(files[member]) for member in members]
            pixels = np.concatenate([batch["data"].reshape(-1, 3, 32, 32) for batch in loaded])
            images = pixels.transpose(0, 2, 3, 1)  # (N, 32, 32, 3), a view
            found = [label for batch in loaded for label in batch[labels]]
            if len(images) != len(found) or not all(0 <= label < len(groups) for label in found):
                raise ValueError(f"{len(images)} images and {len(found)} labels of {len(groups)} classes in {part}")
            parts.append((part, images, [groups[label] for label in found]))
    except Exception as error:  # a damaged pickle raises nearly every type there is, MemoryError among them
        raise DataError(
            f"{archive}: not in the published layout ({type(error).__name__}: {str(error)[:200]}); download it again"
        ) from None
    return array_source(parts, level)


def _members(archive: Path, wanted: list[str]) -> dict[str, bytes]:
    """The wanted members, read in one pass; nothing is unpacked."""
    found: dict[str, bytes] = {}
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=BoundedFile(packed, _MAX_UNPACKED), mode="r:") as tar:
            for member in tar:
                check_member(archive, member.name, is_link=member.issym() or member.islnk())
                if member.name in wanted and (file := tar.extractfile(member)) is not None:
                    if member.name in found:
                        raise DataError(
                            f"{archive}: holds two members named {member.name}; such an archive is not read"
                        )
                    found[member.name] = file.read()
    except DataError:
        raise
    except Exception as error:  # of damaged headers: tarfile raises more types than it documents
        raise DataError(f"{archive}: not a whole tar.gz archive ({error}); download it again") from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{archive}: no {missing[0]} inside; not in the published layout")
    return found

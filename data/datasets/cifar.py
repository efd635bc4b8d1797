"""CIFAR-10 and CIFAR-100: pickled batches in a tar archive, read without letting the pickles run anything."""

from pathlib import Path

import numpy as np

from data.datasets.arrays import array_source
from data.datasets.published import Published
from data.datasets.source import Source
from data.errors import DataError
from data.files.plain_pickle import load_pickle, text

_TEN = {"train": tuple(f"data_batch_{batch}" for batch in range(1, 6)), "test": ("test_batch",)}
_HUNDRED = {"train": ("train",), "test": ("test",)}


def cifar10(archive: Path) -> Source:
    """Groups are the 10 classes."""
    return _source(archive, _TEN, "batches.meta", "labels", "label_names", "class")


def cifar100(archive: Path, level: str) -> Source:
    """Groups are the 100 classes (`class`) or the 20 superclasses (`superclass`)."""
    kind = "fine" if level == "class" else "coarse"
    return _source(archive, _HUNDRED, "meta", f"{kind}_labels", f"{kind}_label_names", level)


def _source(
    archive: Path, batches: dict[str, tuple[str, ...]], meta: str, labels: str, names: str, level: str
) -> Source:
    found = Published([archive])
    files = {member: found.read(member) for member in (meta, *batches["train"], *batches["test"])}
    try:
        groups = [text(name) for name in load_pickle(files[meta])[names]]
        parts = []
        for part, members in batches.items():
            loaded = [load_pickle(files[member]) for member in members]
            pixels = np.concatenate([batch["data"].reshape(-1, 3, 32, 32) for batch in loaded])
            images = pixels.transpose(0, 2, 3, 1)  # (N, 32, 32, 3), a view
            classes = [label for batch in loaded for label in batch[labels]]
            if len(images) != len(classes) or not all(0 <= label < len(groups) for label in classes):
                raise ValueError(f"{len(images)} images and {len(classes)} labels of {len(groups)} classes in {part}")
            parts.append((part, images, [groups[label] for label in classes]))
    except Exception as error:  # a damaged pickle raises nearly every type there is, MemoryError among them
        raise DataError(
            f"{archive}: not in the published layout ({type(error).__name__}: {str(error)[:200]}); download it again"
        ) from None
    return array_source(parts, level)

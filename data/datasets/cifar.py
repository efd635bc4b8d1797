"""CIFAR-10 and CIFAR-100: pickled batches in a tar archive, read without letting the pickles run anything."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.datasets.arrays import array_source
from data.datasets.source import Source
from data.errors import DataError
from data.files.archives import check_member

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
        groups = [_text(name) for name in _load(files[meta])[names]]
        parts = []
        for part, members in batches.items():
            loaded = [_load(files[member]) for member in members]
            pixels = np.concatenate([np.asarray(batch["data"], dtype=np.uint8) for batch in loaded])
            images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # (N, 32, 32, 3), a view
            parts.append((part, images, [groups[label] for batch in loaded for label in batch[labels]]))
            if len(images) != len(parts[-1][2]):
                raise ValueError(f"{len(images)} images, {len(parts[-1][2])} labels in {part}")
    except (KeyError, ValueError, IndexError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{archive}: not in the published layout ({type(error).__name__}: {error})") from None
    return array_source(parts, level)


def _members(archive: Path, wanted: list[str]) -> dict[str, bytes]:
    """The wanted members, read in one pass; nothing is unpacked."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                check_member(archive, member.name, is_link=member.issym() or member.islnk())
                if member.name in wanted and (file := tar.extractfile(member)) is not None:
                    found[member.name] = file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive}: not a whole tar.gz archive ({error}); fetch it again") from None
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{archive}: no {missing[0]} inside; not in the published layout")
    return found


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into an old pickle."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"its pickle asks for the encoding {encoding}")
    return text.encode("latin1")


class _NumbersOnly(pickle.Unpickler):
    """Numpy arrays, numbers and text; any other name in a pickle is refused before it is looked up."""

    _ALLOWED = {
        (f"numpy.{core}.{module}", name): value
        for core in ("core", "_core")
        for module, name, value in (
            ("multiarray", "_reconstruct", np._core.multiarray._reconstruct),
            ("multiarray", "scalar", np._core.multiarray.scalar),
            ("numeric", "_frombuffer", np._core.numeric._frombuffer),
        )
    } | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype, ("_codecs", "encode"): _latin1}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which is no array")
        return self._ALLOWED[module, name]


def _load(content: bytes) -> dict[str, Any]:
    """A batch with its keys as text (Python 2 wrote them as bytes)."""
    loaded = _NumbersOnly(io.BytesIO(content), encoding="bytes").load()
    return {_text(key): value for key, value in loaded.items()}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

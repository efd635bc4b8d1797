"""The heads that the page can use: every `artifacts/*/head`, loaded when it is first asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from data.tables.protocol import Protocol, read_protocol
from data.tables.rows import Rows, read_images, read_rows
from heads.errors import HeadError
from pipeline.inference.predictor import ImageHead, load_head
from pipeline.inference.search_index import Gallery, prepared_gallery

KEPT = 3  # heads in memory; the one not asked for longest goes first


@dataclass(frozen=True)
class Held:
    """A head with the data set it was trained on. What is costly is made when it is first asked for."""

    name: str
    folder: Path  # artifacts/<dataset>
    head: ImageHead

    @cached_property
    def gallery(self) -> Gallery:
        return prepared_gallery(self.head, self.folder)

    @cached_property
    def protocol(self) -> Protocol:
        return read_protocol(self.folder / "protocol.json")

    @cached_property
    def rows(self) -> Rows:
        return read_rows(self.folder / "rows.parquet")

    def images(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Encoded images of the data set; thumbnails where a clone has no images."""
        source = self.folder / "images.parquet"
        return read_images(source, rows) if source.exists() else self.gallery.pictures(rows.tolist())


class Shelf:
    """Finds heads in `artifacts`, and loads one again when it was trained again."""

    def __init__(
        self, artifacts: Path, first: str | None = None, load: Callable[[Path], ImageHead] = load_head
    ) -> None:
        self.artifacts, self.first, self._load = artifacts, first, load
        self._held: dict[str, tuple[int, Held]] = {}
        self.lock = RLock()  # one head computes at a time: two would only take each other's cores and memory

    def names(self) -> list[str]:
        """Data sets with a trained head, `first` first."""
        found = sorted(path.parent.parent.name for path in self.artifacts.glob("*/head/head.json"))
        return sorted(found, key=lambda name: name != self.first)

    def get(self, name: str) -> Held:
        """
        Raises:
            HeadError, FeatureError, DataError: no such head, or one that cannot be used; says what to do.
        """
        folder = self.artifacts / name
        with self.lock:
            if name not in self.names():
                raise HeadError(f"no head for '{name}' is there any more; choose another one")
            age = (folder / "head/head.json").stat().st_mtime_ns
            kept = self._held.pop(name, None)
            if kept is None or kept[0] != age:
                kept = (age, Held(name, folder, self._load(folder / "head")))
            self._held[name] = kept
            while len(self._held) > KEPT:
                self._held.pop(next(iter(self._held)))
            return kept[1]

"""The heads that the page can use: every `artifacts/*/head`, loaded on first use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from data.errors import PREPARE_AGAIN, DataError
from data.files.atomic import sha256_bytes
from data.tables.protocol import Protocol
from data.tables.rows import Rows, read_images
from heads.errors import HeadError
from pipeline.display_names import display_name
from pipeline.head_data import read_head_data
from pipeline.inference.agreement import LocalFeatures, local_features
from pipeline.inference.predictor import Predictor, load_head
from pipeline.inference.search_index import Gallery, prepared_gallery

KEPT = 3  # heads in memory; the least recently used goes first


@dataclass(frozen=True)
class LoadedHead:
    """A head with the data set it was trained on. What is costly is made on first use."""

    name: str
    folder: Path  # artifacts/<dataset>
    head: Predictor

    @cached_property
    def gallery(self) -> Gallery:
        return prepared_gallery(self.head, self.folder)

    @cached_property
    def _data(self) -> tuple[Rows, Protocol]:
        return read_head_data(self.head.trained, self.folder)

    @property
    def rows(self) -> Rows:
        return self._data[0]

    @property
    def protocol(self) -> Protocol:
        return self._data[1]

    @cached_property
    def local(self) -> LocalFeatures | None:
        """For heat maps of where two pictures agree; None where the network gives no map."""
        return local_features(self.head.feature_set, device=self.head.device)

    @cached_property
    def search_texts(self) -> list[str]:
        """(N,) what a name in the search box is looked for in: id, group and names for people, in lower case."""
        names = {name: self.title(name) for name in {*self.rows.group.tolist()}}
        return [
            f"{one} {group} {names[group]}".casefold()
            for one, group in zip(self.rows.id.tolist(), self.rows.group.tolist(), strict=True)
        ]

    def title(self, name: str) -> str:
        """The id or the group `name`, for people."""
        return display_name(name, self.protocol.dataset)

    def images(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Encoded images of the data set; thumbnails where a clone has no images.

        Raises:
            DataError: others lie there than the head was trained on.
        """
        source = self.folder / "images.parquet"
        if not source.exists():
            return self.gallery.pictures(rows.tolist())
        images = read_images(source, rows)
        if [sha256_bytes(image) for image in images] != self.rows.sha256[rows].tolist():
            raise DataError(f"{source}: other images than rows.parquet names; {PREPARE_AGAIN}")
        return images


class AvailableHeads:
    """Finds heads in `artifacts`, and loads one again when it was trained again."""

    def __init__(
        self, artifacts: Path, first: str | None = None, load: Callable[[Path], Predictor] = load_head
    ) -> None:
        self.artifacts, self.first, self._load = artifacts, first, load
        self._loaded: dict[str, tuple[int, LoadedHead]] = {}
        self.lock = RLock()  # one head computes at a time: two would only take each other's cores and memory

    def names(self) -> list[str]:
        """Data sets with a trained head, `first` first."""
        found = sorted(path.parent.parent.name for path in self.artifacts.glob("*/head/head.json"))
        return sorted(found, key=lambda name: name != self.first)

    def get(self, name: str) -> LoadedHead:
        """
        Raises:
            HeadError, FeatureError, DataError: no such head, or one that cannot be used, with the remedy.
        """
        folder = self.artifacts / name
        with self.lock:
            if name not in self.names():
                raise HeadError(f"no head for '{name}' is there any more; choose another one")
            age = (folder / "head/head.json").stat().st_mtime_ns
            kept = self._loaded.pop(name, None)
            if kept is None or kept[0] != age:
                kept = (age, LoadedHead(name, folder, self._load(folder / "head")))
            self._loaded[name] = kept
            while len(self._loaded) > KEPT:
                self._loaded.pop(next(iter(self._loaded)))
            return kept[1]

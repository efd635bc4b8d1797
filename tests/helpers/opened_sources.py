"""Readers of data sets, opened as `prepare` opens them, and files for them to read."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np

from data.catalogue import CATALOGUE, SourceConfig
from data.datasets.source import Source
from data.images.decode import decode
from data.settings import CATALOGUE_PATH


def opened(name: str, where: Path | dict[str, Path], level: str | None = None) -> Source:
    """`where`: the archives of a published set, by their names, or the place of one's own."""
    entry, published = CATALOGUE[name], isinstance(where, dict)
    config = SourceConfig(
        archives=where if published else {},
        path=CATALOGUE_PATH if published else where,
        label_level=level or "".join(entry.levels[:1]),
    )
    return entry.open(config)


def pictures_of(source) -> list[np.ndarray]:
    return [np.asarray(decode(content)) for content in source.read(range(len(source.items)))]


def write(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return top


def zip_of(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path

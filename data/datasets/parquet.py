"""`parquet`: a file or a folder of files with an image column and a label column, as hub data sets are published."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.datasets.source import Item, Source
from data.errors import DataError
from data.images.decode import Unusable

_LABELS = ("label", "labels", "class", "fine_label", "target")
_PARTS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}


@dataclass(frozen=True)
class _Place:
    path: Path
    row_group: int
    row: int  # within the row group


def parquet(path: Path, label: str | None) -> Source:
    """Images are structs of `bytes` (and `path`) or plain binary; `label` names the label column, if its name is odd.

    Files named `train-...`, `validation-...` and `test-...` are the splits. Names of classes are taken from the hub's
    own metadata, where there are any.

    Raises:
        DataError: no parquet files, or no image or label column.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise DataError(f"{path}: no .parquet file inside")
    parts = [_PARTS.get(file.stem.split("-")[0].lower(), "") for file in files]
    parted = "test" in parts and "train" in parts and "" not in parts
    items: list[Item] = []
    places: list[_Place] = []
    image_column = label_column = ""
    for file, part in zip(files, parts, strict=True):
        opened = _open(file)
        image_column, label_column = _columns(file, opened.schema_arrow, label)
        names = _class_names(opened.schema_arrow, label_column)
        prefix = "" if file == path else file.relative_to(path).with_suffix("").as_posix() + "/"
        row = 0
        for index in range(opened.num_row_groups):
            labels = opened.read_row_group(index, columns=[label_column]).column(0).to_pylist()
            for inside, value in enumerate(labels):
                group = names[value] if names and isinstance(value, int) and 0 <= value < len(names) else str(value)
                if value is None:
                    raise DataError(f"{file}: row {row} has no {label_column}")
                items.append(Item(id=f"{prefix}{row:08d}", group=group, part=part if parted else ""))
                places.append(_Place(file, index, inside))
                row += 1

    def read(indices: Iterable[int]) -> Iterator[bytes | Unusable]:
        held, column = (None, -1), None
        for index in indices:
            place = places[index]
            if held != (place.path, place.row_group):
                held = (place.path, place.row_group)
                column = _open(place.path).read_row_group(place.row_group, columns=[image_column]).column(0)
            value = column[place.row].as_py()
            content = value.get("bytes") if isinstance(value, dict) else value
            yield content if content else Unusable("missing", "no bytes in this row")

    return Source(items=items, read=read, group_level=label_column)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such folder or file") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a whole parquet file ({' '.join(str(error).split())})") from None


def _columns(path: Path, schema: pa.Schema, label: str | None) -> tuple[str, str]:
    images = [field.name for field in schema if _holds_bytes(field.type)]
    if len(images) > 1:
        images = [name for name in images if name in ("image", "img")] or images
    if not images:
        raise DataError(f"{path}: no image column (binary, or a struct with bytes); it has {', '.join(schema.names)}")
    if label is not None:
        if label not in schema.names:
            raise DataError(f"{path}: data.group: no column '{label}'; it has {', '.join(schema.names)}")
        return images[0], label
    labels = [name for name in _LABELS if name in schema.names]
    if not labels:
        raise DataError(f"{path}: no label column; name it in data.group; it has {', '.join(schema.names)}")
    return images[0], labels[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: pa.Schema, column: str) -> list[str]:
    """Names of integer labels, from the metadata that the `datasets` library writes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []

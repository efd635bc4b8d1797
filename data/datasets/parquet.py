"""`parquet`: a file or a folder of files with an image column and a label column, as hub data sets are published."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.datasets.labels import read_labels, unlabelled_note
from data.datasets.source import Item, Read, Source, first_five
from data.datasets.split_names import split_notes, split_of
from data.datasets.table import LABEL_COLUMNS, read_splits
from data.errors import DataError
from data.files.parquet_files import iterate_values, open_parquet, read_short_values
from data.images.decode import Unusable


@dataclass(frozen=True)
class _Shard:
    """One file: its own schema, and its place in the data set."""

    path: Path
    file: pq.ParquetFile
    name: str  # relative, without suffix
    split: str  # the word that its name or folder holds, "" if there is none
    image: str
    label: str
    class_names: tuple[str, ...]

    @property
    def part(self) -> str:
        return split_of(self.split) or "" if self.split else ""


def parquet(path: Path, label: str | None) -> Source:
    """Images are structs of `bytes` (and `path`) or plain binary; `label` names the label column, if its name is odd.

    Files and folders named after splits (`train-00000-of-00002.parquet`, `default/validation/0000.parquet`) are the
    splits, as is a column `split`. Each file is read by its own schema; class names come from the hub's own metadata.

    Raises:
        DataError: no parquet files, no image or label column, labels of two kinds, or splits that cannot be told.
    """
    shards = [_open_shard(path, file, label) for file in _files(path)]
    shards, notes = _with_splits(path, shards)
    class_names = _shared_class_names(shards)
    items: list[Item] = []
    places: list[tuple[_Shard, int, int]] = []  # shard, row group, row within it
    kinds: dict[str, str] = {}
    unlabelled: Counter[str] = Counter()
    for shard in shards:
        where = str(shard.path)
        groups, kind = read_labels(read_short_values(shard.file, shard.label, where), where, names=class_names)
        kinds.setdefault(kind, shard.name)
        parts = [shard.part] * len(groups)
        if _has_split_column(shard):
            parts = read_splits(where, "split", read_short_values(shard.file, "split", where), shard.part)
        unlabelled[shard.split or shard.name] += groups.count(None)
        prefix = f"{shard.name}/" if shard.name else ""
        for row, (place, group, part) in enumerate(zip(_row_places(shard), groups, parts, strict=True)):
            if group is not None:
                items.append(Item(id=f"{prefix}{row:08d}", group=group, part=part))
                places.append((shard, *place))
    if len(kinds) > 1:
        said = first_five(f"{kind} in {name}" for kind, name in kinds.items())
        raise DataError(f"{path}: labels are of two kinds ({said}); write them all as one")
    if len({item.group for item in items}) < 2:
        raise DataError(f"{path}: {shards[0].label} holds fewer than two labels; name the label column in data.group")
    notes += [unlabelled_note(count, name) for name, count in unlabelled.items() if count]
    return Source(items=items, read=_reader(places), group_level=shards[0].label, notes=(*notes, *split_notes(items)))


def _reader(places: Sequence[tuple[_Shard, int, int]]) -> Read:
    def read(indices: Iterable[int]) -> Iterator[bytes | Unusable]:
        held: tuple[Path, int, int] | None = None  # of the value last read
        values: Iterator[Any] = iter(())
        content: bytes | Unusable = b""
        for index in indices:
            shard, row_group, row = places[index]
            if held is None or held[:2] != (shard.path, row_group) or row < held[2]:
                where = str(shard.path)
                values = iterate_values(open_parquet(shard.path, where), row_group, shard.image, where)
                held = (shard.path, row_group, -1)
            if row > held[2]:
                content = _bytes_of(next(islice(values, row - held[2] - 1, None), None))
                held = (shard.path, row_group, row)
            yield content

    return read


def _bytes_of(value: Any) -> bytes | Unusable:
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) and content else Unusable("missing", "no bytes in this row")


def _row_places(shard: _Shard) -> Iterator[tuple[int, int]]:
    for group in range(shard.file.num_row_groups):
        yield from ((group, row) for row in range(shard.file.metadata.row_group(group).num_rows))


def _files(path: Path) -> list[Path]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        arrow = path.is_dir() and next(path.rglob("*.arrow"), None)
        hint = "; it holds .arrow files: write them with Dataset.to_parquet" if arrow else ""
        raise DataError(f"{path}: no .parquet file inside{hint}")
    return files


def _open_shard(top: Path, path: Path, label: str | None) -> _Shard:
    opened = open_parquet(path, str(path))
    schema = opened.schema_arrow
    image, column = _columns(path, schema, label)
    name = "" if path == top else PurePosixPath(path.relative_to(top).with_suffix("")).as_posix()
    return _Shard(path, opened, name, _split_word(name or path.stem), image, column, _class_names(schema, column))


def _split_word(name: str) -> str:
    """The word of `data/train-00000-of-00002`, `default/train/0000` or `mnist_train` that names a split.

    Of a shard (numbered, as hubs write them) the word before its number, whether a split of the usual ones or not.
    """
    *folders, stem = name.split("/")
    shard = re.fullmatch(r"(.+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?", stem)
    if shard:
        return shard[1]
    if re.fullmatch(r"\d{3,}", stem) and folders:
        return folders[-1].removeprefix("partial-")
    words = [word for word in (stem, *re.split(r"[-_.]", stem), *reversed(folders)) if split_of(word)]
    return words[0] if words else ""


def _with_splits(path: Path, shards: list[_Shard]) -> tuple[list[_Shard], list[str]]:
    """The shards of the usual splits, and notes about the others.

    Raises:
        DataError: there is only a test split, or several configurations.
    """
    found = {shard.part for shard in shards} - {""}
    if not found:
        words = sorted({shard.split for shard in shards if shard.split})
        return shards, [f"{first_five(words)}: no names of splits; all are split anew"] if len(words) > 1 else []
    homes: dict[str, set[str]] = defaultdict(set)
    for shard in shards:
        folders = shard.name.split("/")[:-1]
        home = [folder for folder in folders if folder.removeprefix("partial-") != shard.split]
        homes[shard.split].add("/".join(home))
    several = sorted({home for split, places in homes.items() if len(places) > 1 for home in places})
    if several:
        raise DataError(
            f"{path}: the same split in several folders ({first_five(home or '.' for home in several)}): "
            f"configurations of one data set? Name the folder of one in data.path"
        )
    if "train" not in found and not any(_has_split_column(shard) for shard in shards):
        raise DataError(
            f"{path}: holds no train split, only {first_five(sorted(homes))}; name the folder above in data.path"
        )
    left_out = Counter[str]()
    for shard in shards:
        if not shard.part:
            left_out[shard.split or shard.name] += shard.file.metadata.num_rows
    notes = [f"{count:,} images of {name}, which is no split, are left out" for name, count in left_out.items()]
    return [shard for shard in shards if shard.part], notes


def _has_split_column(shard: _Shard) -> bool:
    return "split" in shard.file.schema_arrow.names and shard.label != "split"


def _columns(path: Path, schema: pa.Schema, label: str | None) -> tuple[str, str]:
    images = [field.name for field in schema if _holds_bytes(field.type)]
    if len(images) > 1:
        images = [name for name in images if name.lower() in ("image", "img")] or images
    if not images:
        raise DataError(
            f"{path}: no image column (binary, or a struct with bytes); it has {', '.join(schema.names)}; if a column "
            f"names image files, use -S data.name=table"
        )
    if label is not None:
        if label not in schema.names:
            raise DataError(f"{path}: data.group: no column '{label}'; it has {', '.join(schema.names)}")
        return images[0], label
    labels = [name for known in LABEL_COLUMNS for name in schema.names if name.lower() == known]
    if not labels:
        raise DataError(f"{path}: no label column; name it in data.group; it has {', '.join(schema.names)}")
    return images[0], labels[0]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """Names of integer labels, from the metadata that the `datasets` library writes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _shared_class_names(shards: Sequence[_Shard]) -> tuple[str, ...]:
    """The class names of all shards; one without any has those of the others, whose numbers they are.

    Raises:
        DataError: two shards name their classes otherwise.
    """
    named = {shard.class_names: shard.path for shard in shards if shard.class_names}
    if len(named) > 1:
        one, two, *_ = named.values()
        raise DataError(f"{two}: names its classes otherwise than {one.name} does; write both with the same names")
    return next(iter(named), ())

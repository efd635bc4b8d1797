"""The files of a data set in parquet: what each holds by its own schema, and which split it belongs to."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from data.datasets.source import first_five
from data.datasets.split_names import split_of
from data.datasets.table import LABEL_COLUMNS
from data.errors import DataError
from data.files.parquet_files import open_parquet


@dataclass(frozen=True)
class Shard:
    """One file: its own schema, and its place in the data set."""

    path: Path
    name: str  # relative, without suffix
    split: str  # the word that its name or folder holds, "" if there is none
    rows: tuple[int, ...]  # of each row group
    image: str  # column
    label: str  # column, "" if there is none
    class_names: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def part(self) -> str:
        return split_of(self.split) or "" if self.split else ""

    @property
    def has_split_column(self) -> bool:
        return "split" in self.columns and self.label != "split"


def find_shards(path: Path, label: str | None) -> tuple[list[Shard], list[str]]:
    """The files at `path` that belong to train, val or test (all of them, if none names a split), and notes on others.

    `label` names the label column.

    Raises:
        DataError: no parquet file, no image or label column, only a test split, or several configurations.
    """
    shards = [_open_shard(path, file, label) for file in _files(path)]
    shards, notes = _with_splits(path, shards)
    labelled = {shard.split for shard in shards if shard.label}
    for shard in shards:
        if not shard.label and (not labelled or shard.split in labelled or shard.part == "train"):
            what = f"data.group: no column '{label}'" if label else "no label column; name it in data.group"
            raise DataError(f"{shard.path}: {what}; it has {', '.join(shard.columns)}")
    left_out = Counter[str]()
    for shard in shards:
        if not shard.label:
            left_out[shard.split] += sum(shard.rows)
    notes += [f"{count:,} images of {name} have no label column: left out" for name, count in left_out.items()]
    return [shard for shard in shards if shard.label], notes


def _files(path: Path) -> list[Path]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        arrow = path.is_dir() and next(path.rglob("*.arrow"), None)
        hint = "; it holds .arrow files: write them with Dataset.to_parquet" if arrow else ""
        raise DataError(f"{path}: no .parquet file inside{hint}")
    return files


def _open_shard(top: Path, path: Path, label: str | None) -> Shard:
    with open_parquet(path, str(path)) as opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        rows = tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    image, column = _columns(path, schema, label)
    name = "" if path == top else PurePosixPath(path.relative_to(top).with_suffix("")).as_posix()
    split, class_names = _split_word(name or path.stem), _class_names(schema, column)
    return Shard(path, name, split, rows, image, column, class_names, tuple(schema.names))


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


def _with_splits(path: Path, shards: list[Shard]) -> tuple[list[Shard], list[str]]:
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
    if "train" not in found and not any(shard.has_split_column for shard in shards):
        raise DataError(
            f"{path}: holds no train split, only {first_five(sorted(homes))}; name the folder above in data.path"
        )
    left_out = Counter[str]()
    for shard in shards:
        if not shard.part:
            left_out[shard.split or shard.name] += sum(shard.rows)
    notes = [f"{count:,} images of {name}, which is no split, are left out" for name, count in left_out.items()]
    return [shard for shard in shards if shard.part], notes


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
        return images[0], label if label in schema.names else ""
    labels = [name for known in LABEL_COLUMNS for name in schema.names if name.lower() == known]
    return images[0], labels[0] if labels else ""


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


def shared_class_names(shards: Sequence[Shard]) -> tuple[str, ...]:
    """The class names of all shards; one without any has those of the others, whose numbers they are.

    Raises:
        DataError: two shards name their classes otherwise.
    """
    named = {shard.class_names: shard.path for shard in shards if shard.class_names}
    if len(named) > 1:
        one, two, *_ = named.values()
        raise DataError(f"{two}: names its classes otherwise than {one.name} does; write both with the same names")
    return next(iter(named), ())

"""`parquet`: a file or a folder of files with an image column and a label column, as hub data sets are published."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data.datasets.labels import read_labels, unlabelled_note
from data.datasets.parquet_shards import Shard, find_shards, shared_class_names
from data.datasets.source import Item, Read, Source, first_five
from data.datasets.split_names import split_notes
from data.datasets.table import read_splits
from data.errors import DataError, Unusable
from data.files.parquet_files import iterate_values, open_parquet, read_short_values


def parquet(path: Path, label: str | None) -> Source:
    """Images are structs of `bytes` (and `path`) or plain binary; `label` names the label column, if its name is odd.

    Files and folders named after splits (`train-00000-of-00002.parquet`, `default/validation/0000.parquet`) are the
    splits, as is a column `split`. Each file is read by its own schema; class names come from the hub's own metadata.

    Raises:
        DataError: no parquet files, no image or label column, labels of two kinds, or splits that cannot be told.
    """
    shards, notes = find_shards(path, label)
    class_names = shared_class_names(shards)
    items: list[Item] = []
    places: list[tuple[Shard, int, int]] = []  # shard, row group, row within it
    kinds: dict[str, str] = {}
    unlabelled: Counter[str] = Counter()
    for shard in shards:
        where = str(shard.path)
        with open_parquet(shard.path, where) as file:
            labels = read_short_values(file, shard.label, where)
            splits = read_short_values(file, "split", where) if shard.has_split_column else [None] * len(labels)
        groups, kind = read_labels(labels, where, names=class_names)
        kinds.setdefault(kind, shard.name)
        parts = read_splits(where, "split", splits, shard.part)
        unlabelled[shard.split or shard.name] += groups.count(None)
        prefix = f"{shard.name}/" if shard.name else ""
        row_places = ((group, row) for group, count in enumerate(shard.rows) for row in range(count))
        for row, (place, group, part) in enumerate(zip(row_places, groups, parts, strict=True)):
            if group is not None:
                items.append(Item(id=f"{prefix}{row:08d}", group=group, part=part))
                places.append((shard, *place))
    if len(kinds) > 1:
        kinds_of = first_five(f"{kind} in {name}" for kind, name in kinds.items())
        raise DataError(f"{path}: labels are of two kinds ({kinds_of}); write them all as one")
    if len({item.group for item in items}) < 2:
        raise DataError(f"{path}: {shards[0].label} holds fewer than two labels; name the label column in data.group")
    notes += [unlabelled_note(count, name) for name, count in unlabelled.items() if count]
    return Source(items=items, read=_reader(places), group_level=shards[0].label, notes=(*notes, *split_notes(items)))


def _reader(places: Sequence[tuple[Shard, int, int]]) -> Read:
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

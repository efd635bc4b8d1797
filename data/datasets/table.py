"""`table`: a person's own images, listed with their labels (and splits) in CSV or parquet files."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from data.datasets.csv_tables import read_csv
from data.datasets.image_names import ImageNames, folder_of
from data.datasets.labels import read_labels, unlabelled_note
from data.datasets.source import Item, Source, first_five, tree_source
from data.datasets.split_names import split_names, split_notes, split_of
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name
from data.files.parquet_files import open_parquet, read_short_values
from data.images.decode import Unusable

LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "category",
    "target",
    "fine_label",
    "breed",
    "species",
)
SPLIT_COLUMNS = ("split", "data_split", "set", "data set", "dataset", "subset", "partition", "phase", "fold")
_TABLES = (".csv", ".tsv", ".parquet")
_SAMPLE = 50  # rows that show which column names images

Table = dict[str, list[Any]]  # column -> values


def table(path: Path, label: str | None) -> Source:
    """`path`: a folder (or .zip) with tables and images, or a table. `label` names the label column, if it is unusual.

    The image column is the one whose values name files that are there. Several tables count together if their names are
    those of splits (`train.csv`, `val.csv`); a column `split` says so row by row.

    Raises:
        DataError: no table of images and labels, an image is not there or has two labels, or fewer than two labels.
    """
    is_table = path.is_file() and path.suffix.lower() in _TABLES
    tree = open_tree(path.parent if is_table else path)
    top = path.parent.name if is_table else path.stem if path.is_file() else path.name
    names = [path.name] if is_table else _tables(tree, path)
    parts = split_names([PurePosixPath(name).stem for name in names]) if len(names) > 1 else {}
    notes = (
        ["DVC watches the table only; name its folder in data.path to have the images watched too"] if is_table else []
    )
    rows: dict[str, tuple[str, str]] = {}  # file -> group and part
    kinds: dict[str, list[str]] = defaultdict(list)
    column = ""
    for name in names:
        found = _read(tree, name)
        images = ImageNames(tree, name, top=top, base=folder_of(name), outside=path.parent if is_table else None)
        image_column = _image_column(name, found, images)
        column = _label_column(name, found, image_column, label)
        if not column:
            if len(names) == 1:
                raise DataError(f"{name}: no label column; name it in data.group; it has {first_five(found)}")
            notes.append(f"{name} has no label column: left out")
            continue
        groups, kind = read_labels(found[column], name)
        kinds[kind].append(name)
        split = _splits(name, found, parts.get(PurePosixPath(name).stem, ""), {image_column, column})
        files = images.find_all([str(value) for value in found[image_column]])
        tree = images.tree
        if unlabelled := groups.count(None):
            notes.append(unlabelled_note(unlabelled, name))
        _add(name, rows, zip(files, groups, split, strict=True))
    if len(kinds) > 1:
        raise DataError(
            f"{path}: labels are numbers in {first_five(kinds['numbers'])}, text in {first_five(kinds['text'])}"
        )
    items = [(Item(id=unicode_name(file), group=group, part=part), file) for file, (group, part) in rows.items()]
    if len({item.group for item, _ in items}) < 2:
        raise DataError(f"{path}: column {column} holds fewer than two labels; name the label column in data.group")
    return tree_source(tree, items, column, notes=(*notes, *split_notes([item for item, _ in items])))


def _add(name: str, rows: dict[str, tuple[str, str]], found: Iterable[tuple[str, str | None, str]]) -> None:
    two = []
    for file, group, part in found:
        if group is not None and rows.setdefault(file, (group, part)) != (group, part):
            two.append(f"{file} ({' and '.join(sorted({rows[file][0], group}))})")
    if two:
        raise DataError(
            f"{name}: images with two labels or in two splits: {first_five(two)}; one group per image is needed"
        )


def _tables(tree: Tree, path: Path) -> list[str]:
    """The tables nearest to the top."""
    found = [name for name in tree.names if name.lower().endswith(_TABLES)]
    if not found:
        raise DataError(f"{path}: no table (.csv, .tsv, .parquet) of image and label inside")
    depth = min(name.count("/") for name in found)
    found = [name for name in found if name.count("/") == depth]
    if len(found) > 1:
        splits = split_names([PurePosixPath(name).stem for name in found])
        named = [name for name in found if PurePosixPath(name).stem in splits]
        if not named:
            raise DataError(
                f"{path}: several tables ({first_five(found)}), named like no splits; name one in data.path"
            )
        return named
    return found


def _read(tree: Tree, name: str) -> Table:
    if not name.lower().endswith(".parquet"):
        rows = read_csv(tree, name)
        return {column: [row[column] for row in rows] for column in rows[0] if column}
    content = tree.read(name)
    if isinstance(content, Unusable):
        raise DataError(f"{name}: {content}")
    file = open_parquet(content, name)
    return {column.lower(): read_short_values(file, column, name) for column in file.schema_arrow.names}


def _image_column(name: str, found: Table, images: ImageNames) -> str:
    """The column of which the first rows name most files, with their suffixes if any does."""
    for whole in (True, False):
        hits = {
            column: sum(bool(images.find(value, whole=whole)) for value in values[:_SAMPLE] if isinstance(value, str))
            for column, values in found.items()
        }
        best = max(hits, key=lambda column: hits[column])
        if hits[best]:
            return best
    if any(isinstance(value, bytes | dict) for values in found.values() for value in values[:1]):
        raise DataError(f"{name}: holds the images themselves, not their names; use -S data.name=parquet")
    texts = [f"{column}: {values[0]}" for column, values in found.items() if isinstance(values[0], str)]
    raise DataError(f"{name}: no column names images that are there ({first_five(texts)}); names count from its folder")


def _label_column(name: str, found: Table, image: str, label: str | None) -> str:
    if label is not None:
        if label.strip().lower() not in found:
            raise DataError(f"{name}: data.group: no column '{label}'; it has {first_five(found)}")
        return label.strip().lower()
    others = [column for column in found if column not in (image, *SPLIT_COLUMNS)]
    known = [column for column in LABEL_COLUMNS if column in others]
    return known[0] if known else others[0] if len(others) == 1 else ""


def _splits(name: str, found: Table, part: str, used: set[str]) -> list[str]:
    """The split of each row: what its table is named after, or what a column says.

    Raises:
        DataError: some values of the column are splits, and some are not.
    """
    for column in SPLIT_COLUMNS:
        if column in found and column not in used:
            return read_splits(name, column, found[column], part)
    return [part] * len(next(iter(found.values())))


def read_splits(where: str, column: str, values: list[Any], part: str = "") -> list[str]:
    words = {str(value).strip() for value in values if value is not None}
    splits = {word: split_of(word) for word in words if word}
    strange = sorted(word for word, split in splits.items() if split is None)
    if strange and (len(strange) < len(splits) or column == "split"):
        raise DataError(f"{where}: column {column} holds {first_five(strange)}; write train, val or test, or rename it")
    if strange:
        return [part] * len(values)
    return [splits.get(str(value).strip()) or part if value is not None else part for value in values]

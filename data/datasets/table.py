"""`table`: a person's own images, listed with their labels (and splits) in CSV or parquet files."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from data.datasets.image_names import ImageNames, folder_of, unnamed_note
from data.datasets.labels import read_labels, unlabelled_note
from data.datasets.source import Item, Source, first_five, tree_source
from data.datasets.split_names import split_names, split_notes, split_of
from data.datasets.table_files import SUFFIXES, Table, find_tables, read_table
from data.errors import DataError
from data.files.archives import open_tree, unicode_name

LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "classname", "category", "target", "fine_label"),
    *("breed", "species"),
)
_SPLITS_ONLY = ("split", "data_split", "subset", "partition")  # columns that say nothing but splits
SPLIT_COLUMNS = (*_SPLITS_ONLY, "set", "data set", "dataset", "phase", "fold")
_SAMPLE = 50  # rows that show which column names images


def table(path: Path, label: str | None) -> Source:
    """`path`: a folder (or .zip) with tables and images, or a table. `label` names the label column, if it is unusual.

    The image column is the one whose values name files that are there. Several tables count together if their names are
    those of splits (`train.csv`, `val.csv`); a column `split` says so row by row.

    Raises:
        DataError: no table of images and labels, an image is not there or has two labels, or fewer than two labels.
    """
    is_table = path.is_file() and path.suffix.lower() in SUFFIXES
    tree = open_tree(path.parent if is_table else path)
    top = path.parent.name if is_table else path.stem if path.is_file() else path.name
    names = [path.name] if is_table else find_tables(tree, path)
    notes = (
        ["DVC watches the table only; name its folder in data.path to have the images watched too"] if is_table else []
    )
    found = {}
    if len(names) > 1 and (empty := [name for name in names if "submission" in name.lower()]):
        names = [name for name in names if name not in empty]
        notes.append(f"left out: {first_five(empty)}")
    for name in names:
        columns = read_table(tree, name)
        images = ImageNames(tree, name, top=top, base=folder_of(name), outside=path.parent if is_table else None)
        try:
            found[name] = _Listed(name, columns, images, label)
        except DataError as why:
            if len(names) == 1:
                raise
            notes.append(f"left out: {why}")
    parts = _parts(path, list(found), notes)
    rows: dict[str, tuple[str, str]] = {}  # file -> group and part
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, listed in found.items():
        groups, kind = read_labels(listed.columns[listed.label], name)
        kinds[kind].append(name)
        files = listed.images.find_all([str(value) for value in listed.columns[listed.image]], split=parts[name])
        tree = listed.images.tree
        if unlabelled := groups.count(None):
            notes.append(unlabelled_note(unlabelled, name))
        _add(name, rows, zip(files, groups, listed.splits(parts[name]), strict=True))
    if len(kinds) > 1:
        raise DataError(
            f"{path}: labels are numbers in {first_five(kinds['numbers'])}, text in {first_five(kinds['text'])}"
        )
    notes += () if is_table else unnamed_note(tree, rows)
    level = next(iter(found.values())).label
    items = [(Item(id=unicode_name(file), group=group, part=part), file) for file, (group, part) in rows.items()]
    if len({item.group for item, _ in items}) < 2:
        raise DataError(f"{path}: column {level} holds fewer than two labels; name the label column in data.group")
    return tree_source(tree, items, level, notes=(*notes, *split_notes([item for item, _ in items])))


class _Listed:
    """A table, and which of its columns are which.

    Raises:
        DataError: it has no image or no label column.
    """

    def __init__(self, name: str, columns: Table, images: ImageNames, label: str | None) -> None:
        if {"left", "right"} <= columns.keys():
            raise DataError(f"{name}: names pairs, in columns left and right; use -S data.name=pairs")
        self.name, self.columns, self.images = name, columns, images
        self.image = _image_column(name, columns, images)
        self.label = _label_column(name, columns, self.image, label)

    def splits(self, part: str) -> list[str]:
        """The split of each row: what a column says, or `part`.

        Raises:
            DataError: some values of the column are splits, and some are not.
        """
        for column in SPLIT_COLUMNS:
            if column in self.columns and column not in (self.image, self.label):
                return read_splits(self.name, column, self.columns[column], part)
        return [part] * len(self.columns[self.image])


def _parts(path: Path, names: list[str], notes: list[str]) -> dict[str, str]:
    """The split that each of several tables is named after, "" for a single one.

    Raises:
        DataError: there is none, or several are named like no splits.
    """
    if not names:
        raise DataError(f"{path}: no table of images and labels; {notes[-1]}")
    splits = split_names([PurePosixPath(name).stem for name in names])
    parts = {name: splits.get(PurePosixPath(name).stem) or _folder_split(name) for name in names}
    if len(names) == 1:  # a test alone would leave nothing to train on
        return {names[0]: "train" if parts[names[0]] == "train" else ""}
    if strange := [name for name, part in parts.items() if not part]:
        raise DataError(
            f"{path}: several tables ({first_five(names)}); {strange[0]} names no split; name one in data.path"
        )
    return parts


def _folder_split(name: str) -> str:
    return next((split for folder in name.split("/")[-2::-1] if (split := split_of(folder))), "")


def _add(name: str, rows: dict[str, tuple[str, str]], found: Iterable[tuple[str, str | None, str]]) -> None:
    two = []
    for file, group, part in found:
        if group is not None and rows.setdefault(file, (group, part)) != (group, part):
            two.append(f"{file} ({' and '.join(sorted({rows[file][0], group}))})")
    if two:
        raise DataError(
            f"{name}: images with two labels or in two splits: {first_five(two)}; one group per image is needed"
        )


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
    if not known and len(others) != 1:
        raise DataError(f"{name}: no label column; name it in data.group; it has {first_five(found)}")
    return known[0] if known else others[0]


def read_splits(where: str, column: str, values: list[Any], part: str = "") -> list[str]:
    """The split of each value of a column; `part` where it is empty, or if no value is the name of a split.

    Raises:
        DataError: some values are names of splits and some are not, or none in a column that says nothing else.
    """
    words = {str(value).strip() for value in values if value is not None}
    splits = {word: split_of(word) for word in words if word}
    strange = sorted(word for word, split in splits.items() if split is None)
    if strange and (len(strange) < len(splits) or column in _SPLITS_ONLY):
        raise DataError(f"{where}: column {column} holds {first_five(strange)}; write train, val or test, or rename it")
    if strange:
        return [part] * len(values)
    return [splits.get(str(value).strip()) or part if value is not None else part for value in values]

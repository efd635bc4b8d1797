"""`pairs`: your own pairs. A CSV file of left,right, or two folders `left` and `right` with equal names."""

from pathlib import Path, PurePosixPath

from data.datasets.csv_tables import check_once, read_csv
from data.datasets.source import Item, Source, first_five, tree_source
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name


def pairs(path: Path) -> Source:
    """`path`: a folder (or .zip) with `left/` and `right/`, or with one CSV file; or that CSV file itself.

    Names in the CSV are relative to its folder.

    Raises:
        DataError: no such layout, a member is missing, or an image is in two pairs.
    """
    if path.suffix.lower() == ".csv" and path.is_file():
        note = "DVC watches the CSV file only; name its folder in data.path to have the images watched too"
        return csv_pairs(open_tree(path.parent), path.name, notes=(note,))
    tree = open_tree(path)
    if any(name.startswith("left/") for name in tree.names) or any(name.startswith("right/") for name in tree.names):
        return named_pairs(tree, "left/", "right/", where=str(path))
    tables = [name for name in tree.names if "/" not in name and name.lower().endswith(".csv")]
    if len(tables) != 1:
        raise DataError(
            f"{path}: needs the folders left and right, or one .csv of left,right; it has {len(tables)} .csv"
        )
    return csv_pairs(tree, tables[0])


def named_pairs(tree: Tree, left: str, right: str, *, where: str) -> Source:
    """Files of equal name under the folders `left` and `right` are pairs."""
    lefts = {name.removeprefix(left): name for name in tree.names if name.startswith(left)}
    rights = {name.removeprefix(right): name for name in tree.names if name.startswith(right)}
    alone = [left + name for name in lefts if name not in rights] + [
        right + name for name in rights if name not in lefts
    ]
    if alone:
        raise DataError(f"{where}: no partner of the same name for {first_five(alone)}")
    files = [
        (Item(id=unicode_name(f"{role}/{name}"), group=unicode_name(name), role=role), members[name])
        for role, members in (("left", lefts), ("right", rights))
        for name in members
    ]
    return tree_source(tree, files, "pair")


def csv_pairs(tree: Tree, table: str, notes: tuple[str, ...] = ()) -> Source:
    """Each row of the CSV file names a pair; the pair is named after its left image."""
    rows = read_csv(tree, table, ("left", "right"))
    there = set(tree.names)
    for column in ("left", "right"):
        check_once(f"{table}: column {column}", [row[column] for row in rows])
    named = [(str(PurePosixPath(row["left"])), str(PurePosixPath(row["right"]))) for row in rows]
    missing = [name for pair in named for name in pair if name not in there]
    if missing:
        raise DataError(f"{table}: names images that are not there: {first_five(missing)}")
    files = []
    for left, right in named:
        for role, name in (("left", left), ("right", right)):
            files.append((Item(id=unicode_name(f"{role}/{name}"), group=unicode_name(left), role=role), name))
    return tree_source(tree, files, "pair", notes=notes)

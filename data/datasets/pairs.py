"""`pairs`: a person's own pairs, a table of left,right (and perhaps 0/1), or two folders with equal names."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from data.components import components
from data.datasets.csv_tables import read_csv
from data.datasets.image_names import ImageNames, folder_of, unnamed_note
from data.datasets.source import Item, Source, first_five, tree_source
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name

# Columns that say whether a pair matches, and the words in them.
_JUDGEMENTS = ("label", "match", "matches", "same", "similar", "positive", "target", "y", "class", "duplicate")
_JUDGEMENTS += tuple(f"is_{word}" for word in _JUDGEMENTS)
_NO_JUDGEMENT = re.compile(r"|id|idx|index|unnamed.*|fold|split|left|right")
_YES, _NO = ("1", "1.0", "true", "yes", "y"), ("0", "0.0", "-1", "-1.0", "false", "no", "n")
_TABLES = (".csv", ".tsv")


class _Pair(NamedTuple):
    left: str
    right: str
    same: bool = True


def pairs(path: Path) -> Source:
    """`path`: a folder (or .zip) with `left/` and `right/`, or with one table; or that table itself.

    Raises:
        DataError: no such layout, a member is missing, or a table contradicts itself.
    """
    if path.suffix.lower() in _TABLES and path.is_file():
        note = "DVC watches the table only; name its folder in data.path to have the images watched too"
        return csv_pairs(open_tree(path.parent), path.name, top=path.parent.name, outside=path.parent, notes=(note,))
    tree = open_tree(path)
    above = [f"/{name}".partition("/left/")[0] for name in tree.names if "/left/" in f"/{name}"]
    if above:
        top = f"{min(above, key=len)}/"[1:]  # of the folder that holds left and right
        return named_pairs(tree, f"{top}left/", f"{top}right/", where=str(path))
    tables = [name for name in tree.names if name.lower().endswith(_TABLES)]
    tables = [name for name in tables if name.count("/") == min(other.count("/") for other in tables)]
    if len(tables) > 1:
        tables = [name for name in tables if {"left", "right"} <= read_csv(tree, name)[0].keys()] or tables
    if len(tables) != 1:
        raise DataError(
            f"{path}: needs the folders left and right, or one table of left,right; it has {len(tables)} tables"
            + (f" ({first_five(tables)}); name one in data.path" if tables else "")
        )
    return csv_pairs(tree, tables[0], top=path.stem if path.is_file() else path.name)


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


def csv_pairs(
    tree: Tree, table: str, *, top: str = "", outside: Path | None = None, notes: tuple[str, ...] = ()
) -> Source:
    """Each row names a pair, which is named after its left image.

    If every image is in one pair, left images are queries and right images the gallery. If some are in several, or if
    a column says which pairs match, connected matching pairs are one group, and every image is a query.
    """
    rows = read_csv(tree, table, ("left", "right"))
    names = ImageNames(tree, table, top=top, base=folder_of(table), outside=outside)
    files = names.find_all([row[side] for row in rows for side in ("left", "right")])
    column = _judgement_column(table, rows)
    given = [
        _Pair(left, right, column is None or row[column].lower() in _YES)
        for row, left, right in zip(rows, files[::2], files[1::2], strict=True)
    ]
    every = list(dict.fromkeys(given))
    if selves := [pair.left for pair in every if pair.left == pair.right]:
        raise DataError(f"{table}: left and right are the same image: {first_five(selves)}")
    notes += (f"{len(given) - len(every)} rows repeat a pair: read once",) if len(every) < len(given) else ()
    notes += unnamed_note(tree, files) if outside is None else ()
    unread = [name for name in rows[0] if name and name not in ("left", "right", column)]
    notes += (f"columns that are not read: {first_five(unread)}",) if unread else ()
    if not any(pair.same for pair in every):
        raise DataError(f"{table}: column {column} marks no pair as matching; matching pairs have 1, others 0")
    counts = Counter(name for pair in every for name in (pair.left, pair.right))
    judged = not all(pair.same for pair in every)
    if not judged and max(counts.values()) == 1:
        items = [
            (Item(id=unicode_name(f"{role}/{name}"), group=unicode_name(pair.left), role=role), name)
            for pair in every
            for role, name in (("left", pair.left), ("right", pair.right))
        ]
        return tree_source(names.tree, items, "pair", notes=notes)
    return _connected_pairs(names.tree, table, every, judged=judged, notes=notes)


def _connected_pairs(tree: Tree, table: str, every: list[_Pair], *, judged: bool, notes: tuple[str, ...]) -> Source:
    files = list(dict.fromkeys(name for pair in every for name in (pair.left, pair.right)))
    place = {name: index for index, name in enumerate(files)}
    ends = [(place[pair.left], place[pair.right], pair.same) for pair in every]
    group = components(len(files), [(a, b) for a, b, same in ends if same])
    if wrong := [f"{files[a]} and {files[b]}" for a, b, same in ends if not same and group[a] == group[b]]:
        raise DataError(
            f"{table}: pairs marked as not matching that other rows connect: {first_five(wrong)}; correct one"
        )
    first = {number: files[index] for index, number in reversed(list(enumerate(group)))}
    family = _families(group, ends)
    items = [
        (Item(id=unicode_name(name), group=unicode_name(first[group[index]]), family=str(family[index])), name)
        for index, name in enumerate(files)
    ]
    sizes = Counter(group)
    if judged:
        yes = sum(same for _, _, same in ends)
        notes += (
            f"{yes:,} pairs marked as matching form {sum(size > 1 for size in sizes.values()):,} groups; "
            f"{len(ends) - yes:,} marked as not matching are kept for verification",
        )
    else:
        several = sum(count > 1 for count in Counter(index for a, b, _ in ends for index in (a, b)).values())
        notes += (
            f"{several:,} images are in several pairs: connected pairs are one group, the largest of "
            f"{max(sizes.values())} images, and every image is a query",
        )
    return tree_source(tree, items, "pair", notes=notes, pairs=tuple(ends) if judged else ())


def _families(group: list[int], ends: list[tuple[int, int, bool]]) -> list[int]:
    """Groups that a pair marked as not matching connects stay in one split, so that it can be scored.

    Unless this leaves too few families to split, or one of more than a tenth of the images.
    """
    first: dict[int, int] = {}
    members = [(first.setdefault(number, index), index) for index, number in enumerate(group)]
    together = components(len(group), [*members, *((a, b) for a, b, _ in ends)])
    sizes = Counter(together)
    return together if len(sizes) >= 10 and max(sizes.values()) * 10 <= len(group) else group


def _judgement_column(table: str, rows: list[dict[str, str]]) -> str | None:
    """The column that says whether a pair matches, in 0 and 1.

    Raises:
        DataError: a column might say so, and it is not clear how.
    """
    binary, doubtful = [], []
    for column in rows[0]:
        values = set() if _NO_JUDGEMENT.fullmatch(column) else {row[column].lower() for row in rows}
        if values and values <= {*_YES, *_NO}:
            binary.append(column)
        elif column in _JUDGEMENTS or column in ("score", "similarity"):
            doubtful.append(column)
    known = [column for column in binary if column in _JUDGEMENTS]
    if doubtful or len(known) > 1 or (binary and not known):
        named = first_five(doubtful or known or binary)
        raise DataError(
            f"{table}: does {named} say which pairs match? Name that column `label`, with 1 for a match and 0 for "
            f"none, and remove or rename what says something else"
        )
    return known[0] if known else None

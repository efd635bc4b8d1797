"""`tll`, Totally Looks Like (Rosenfeld, Solbach, Tsotsos, 2018): pairs of images that people find alike.

Two layouts: the challenge's (`train/left`, `train/right`, `train.csv`, `test/left`, `test/right`,
`test_candidates.csv`) and the full set's (`left`, `right` with equal names); each as a folder or a .zip.
"""

from pathlib import Path, PurePosixPath

from data.datasets.csv_tables import check_once, read_csv
from data.datasets.pairs import named_pairs
from data.datasets.source import Item, Source, first_five, tree_source
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name


def tll(path: Path) -> Source:
    """
    Raises:
        DataError: neither layout, a member is missing, or an image is in two pairs.
    """
    tree = open_tree(path)
    tables = sorted((name for name in tree.names if PurePosixPath(name).name == "train.csv"), key=len)
    if tables:
        return _challenge(tree, tables[0].removesuffix("train.csv"), str(path))
    lefts = sorted((name for name in tree.names if "left/" in name), key=len)
    if not lefts:
        raise DataError(f"{path}: neither train.csv (the challenge) nor left and right (the full set) inside")
    top = lefts[0][: lefts[0].index("left/")]
    return named_pairs(tree, f"{top}left/", f"{top}right/", where=str(path))


def _challenge(tree: Tree, top: str, where: str) -> Source:
    rows = read_csv(tree, f"{top}train.csv", ("left", "right"))
    for column in ("left", "right"):
        check_once(f"{where}: train.csv: column {column}", [row[column] for row in rows])
    names = {str(PurePosixPath(name).with_suffix("")): name for name in tree.names}  # the tables name no suffix
    files: list[tuple[Item, str]] = []
    missing: list[str] = []

    def add(part: str, role: str, stem: str, group: str) -> int:
        file = names.get(f"{top}{part}/{role}/{stem}")
        if file is None:
            missing.append(f"{part}/{role}/{stem}")
        given = "submit" if part == "test" else ""
        files.append((Item(unicode_name(f"{part}/{role}/{stem}"), unicode_name(group), role, given), file or ""))
        return len(files) - 1

    for row in rows:
        for role in ("left", "right"):
            add("train", role, row[role], row["left"])
    submit = []
    table = f"{top}test_candidates.csv"
    if table in tree.names:
        columns = sorted((name for name in read_csv(tree, table, ("left",))[0] if name != "left"), key=_number)
        queries = read_csv(tree, table, ("left", *columns))
        check_once(f"{where}: test_candidates.csv: column left", [row["left"] for row in queries])
        # Who belongs to whom is not known: each image is a group of its own.
        place = {name: add("test", "right", name, f"test/right/{name}") for name in _all(queries, columns)}
        for row in queries:
            listed = [row[column] for column in columns]
            check_once(f"{where}: test_candidates.csv: candidates of {row['left']}", listed)
            query = add("test", "left", row["left"], f"test/left/{row['left']}")
            submit.append((query, tuple(place[name] for name in listed)))
    if missing:
        raise DataError(f"{where}: its tables name images that are not there: {first_five(missing)}")
    return tree_source(tree, files, "pair", submit=tuple(submit))


def _all(queries: list[dict[str, str]], columns: list[str]) -> list[str]:
    return sorted({row[column] for row in queries for column in columns})


def _number(column: str) -> tuple[int, str]:
    digits = column.removeprefix("c")
    return (int(digits) if digits.isdigit() else 10**9, column)

"""Tables of any form as columns: .csv, .tsv, .jsonl and .parquet."""

import json
from pathlib import Path
from typing import Any

from data.datasets.csv_tables import read_csv
from data.errors import DataError, Unusable
from data.files.archives import Tree
from data.files.parquet_files import open_parquet, read_short_values

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

Table = dict[str, list[Any]]  # column in lower case -> values


def find_tables(tree: Tree, path: Path) -> list[str]:
    """The names of the tables nearest to the top.

    Raises:
        DataError: there is none.
    """
    found = [name for name in tree.names if name.lower().endswith(SUFFIXES)]
    if not found:
        raise DataError(f"{path}: no table (.csv, .tsv, .jsonl, .parquet) of image and label inside")
    depth = min(name.count("/") for name in found)
    return [name for name in found if name.count("/") == depth]


def read_table(tree: Tree, name: str) -> Table:
    """
    Raises:
        DataError: damaged, or not in the form that its suffix says.
    """
    if name.lower().endswith(".jsonl"):
        return _read_json_lines(tree, name)
    if not name.lower().endswith(".parquet"):
        rows = read_csv(tree, name)
        return {column: [row[column] for row in rows] for column in rows[0] if column}
    content = tree.read(name)
    if isinstance(content, Unusable):
        raise DataError(f"{name}: {content}")
    file = open_parquet(content, name)
    return {column.lower(): read_short_values(file, column, name) for column in file.schema_arrow.names}


def _read_json_lines(tree: Tree, name: str) -> Table:
    content = tree.read(name)
    try:
        if isinstance(content, Unusable):
            raise content
        rows = [json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip()]
        columns = list(dict.fromkeys(column for row in rows for column in row))
    except (ValueError, TypeError) as error:  # Unusable is a ValueError
        raise DataError(f"{name}: not a file of JSON objects, one per line ({error})") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{name}: not a file of JSON objects, one per line")
    return {column.lower(): [row.get(column) for row in rows] for column in columns}

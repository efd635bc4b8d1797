"""Read and write csv files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8 csv with a header and Unix line ends."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def csv_of_dicts(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The same of rows with equal keys, which are the columns."""
    columns = list(rows[0]) if rows else []
    return csv_bytes(columns, ([row[column] for column in columns] for row in rows))


def read_csv_dicts(path: Path) -> list[dict[str, str]]:
    """Rows of a csv file as column -> text.

    Raises:
        OSError: there is no such file.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

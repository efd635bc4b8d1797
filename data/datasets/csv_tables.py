"""CSV files that name images, as spreadsheets and scripts write them."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from data.datasets.source import first_five
from data.errors import DataError
from data.files.archives import Tree
from data.images.decode import Unusable

_DELIMITERS = (",", ";", "\t", "|")


def read_csv(tree: Tree, name: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file: column name, in lower case -> value, both without blanks around them.

    The delimiter is the one that the first line has most of; the first line must name `columns`.

    Raises:
        DataError: not text, a column is missing or there twice, or a row has no value in one of `columns`.
    """
    text = _text(tree, name)
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first_line.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"{name}: not a CSV file ({error})") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if any(value.strip() for value in line)]
    needed = f"a first line that names {','.join(columns)}" if columns else "a first line that names the columns"
    if len(numbered) < 2:
        raise DataError(f"{name}: no rows under {needed}")
    header = [value.strip().lower() for value in numbered[0][1]]
    check_once(f"{name}: columns", [column for column in header if column])
    for column in columns:
        if column not in header:
            raise DataError(f"{name}: no column '{column}' in its first line ({first_five(header)})")
    rows = []
    for number, line in islice(numbered, 1, None):
        if len(line) > len(header) and any(line[len(header) :]):
            raise DataError(
                f"{name}: line {number} has {len(line)} values, the first line {len(header)}; quote values that hold "
                f"{delimiter!r}"
            )
        row = dict.fromkeys(header, "") | dict(zip(header, (value.strip() for value in line), strict=False))
        for column in columns:
            if not row[column]:
                raise DataError(f"{name}: line {number} has no {column}")
        rows.append(row)
    return rows


def check_once(where: str, names: Sequence[str]) -> None:
    """
    Raises:
        DataError: a name comes twice; the first five are named.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{where}: named more than once: {first_five(twice)}")


def _text(tree: Tree, name: str) -> str:
    content = tree.read(name)
    if isinstance(content, Unusable):
        raise DataError(f"{name}: {content}")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # "Unicode text" of spreadsheets
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not a CSV file in UTF-8 ({error}); save it as UTF-8") from None

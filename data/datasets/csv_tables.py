"""CSV files that name images."""

import csv
import io
from collections import Counter
from collections.abc import Sequence

from data.datasets.source import first_five
from data.errors import DataError
from data.files.archives import Tree
from data.images.decode import Unusable


def read_csv(tree: Tree, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header that has `columns`.

    Raises:
        DataError: not text, a column is missing, or a row has no value in one of them.
    """
    content = tree.read(name)
    if isinstance(content, Unusable):
        raise DataError(f"{name}: {content}")
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name}: not a CSV file in UTF-8 ({error})") from None
    for column in columns:
        if rows and column not in rows[0]:
            raise DataError(f"{name}: no column '{column}' in its first line, which must name {','.join(columns)}")
        for line, row in enumerate(rows, start=2):
            if not row[column]:
                raise DataError(f"{name}: line {line} has no {column}")
    if not rows:
        raise DataError(f"{name}: no rows under a first line that names {','.join(columns)}")
    return rows


def check_once(where: str, names: Sequence[str]) -> None:
    """
    Raises:
        DataError: a name comes twice; the first five are named.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{where}: named more than once: {first_five(twice)}")

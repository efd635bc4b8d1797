"""Query and gallery rows of a split."""

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.tables.rows import Rows


def split_rows(rows: Rows, split: str) -> NDArray[np.int64]:
    """Row numbers of `split`.

    Raises:
        DataError: the split is empty.
    """
    chosen = rows.where(split=split)
    if not len(chosen):
        raise DataError(f"the {split} split is empty: enlarge data.splits.{split} or give the data set more groups")
    return chosen


def queries_and_gallery(rows: Rows, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the queries and of the gallery: left and right where rows have roles, else all for both."""
    return rows.queries_and_gallery(split_rows(rows, split))

import hashlib

import numpy as np
from pictures import png

from data.tables.rows import Rows


def make_rows(count: int = 10, *, roles: bool = False) -> Rows:
    text = lambda values: np.array(values, dtype=object)  # noqa: E731
    return Rows(
        id=text([f"id{row:03d}" for row in range(count)]),
        group=text([f"g{row // 2}" for row in range(count)]),
        role=text([("left", "right")[row % 2] if roles else "" for row in range(count)]),
        split=text([("train", "val", "test")[row // 2 % 3] for row in range(count)]),
        seen=np.array([row // 2 % 3 == 0 for row in range(count)]),
        sha256=text([hashlib.sha256(png(row)).hexdigest() for row in range(count)]),
    )

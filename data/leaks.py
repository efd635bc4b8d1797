"""The same picture where it must not be: byte for byte, or nearly (perceptual hash)."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.rows import SPLITS, Rows

_SIDE = 8  # 8 x 8 = 64 bits
NEAR = 3  # bits of 64 that may differ


def look(small: Image.Image) -> int:
    """The difference hash (dHash) of a thumbnail, 64 bits: is each of 8x8 cells darker than the one to its right?"""
    grey = np.asarray(small.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))
    bits = grey[:, 1:] > grey[:, :-1]  # (8, 8)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def shared_pictures(rows: Rows) -> list[list[int]]:
    """Rows of byte-identical pictures that lie in more than one of train, val and test, picture by picture."""
    holders: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(rows.sha256):
        if rows.split[row] in SPLITS:
            holders[digest].append(row)
    return [held for held in holders.values() if len({rows.split[row] for row in held}) > 1]


def near_pictures(
    looks: NDArray[np.uint64], a: NDArray[np.int64], b: NDArray[np.int64], *, most: int
) -> tuple[NDArray[np.int64], int]:
    """Pairs of rows, one of `a` and one of `b`, whose hashes differ in at most NEAR bits: the first `most` (P, 2), and
    how many there are in all.

    Hashes with hardly a bit set (plain pictures) or all bits set say nothing and are left out.
    """
    a, b = (part[_telling(looks[part])] for part in (a, b))
    found: list[NDArray[np.int64]] = []
    total = 0
    step = max(1, (1 << 24) // max(1, len(b)))  # 16 million comparisons at a time
    for start in range(0, len(a), step):
        here = a[start : start + step]
        close = np.bitwise_count(looks[here][:, None] ^ looks[b][None, :]) <= NEAR  # (step, B)
        count = int(close.sum())
        if count and total < most:
            left, right = np.nonzero(close)
            found.append(np.column_stack([here[left], b[right]])[: most - total])
        total += count
    return (np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)), total


def _telling(looks: NDArray[np.uint64]) -> NDArray[np.bool_]:
    ones = np.bitwise_count(looks)
    return (ones >= 6) & (ones <= 58)

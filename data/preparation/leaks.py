"""The same picture where it must not be: byte for byte, or nearly (perceptual hash)."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.tables.rows import SPLITS, Rows

_SIDE = 16
LOOK_BYTES = _SIDE * _SIDE // 8
NEAR = 0.08  # of the bits set in either picture, the share that may differ
_FEWEST = 16  # bits set; plainer pictures say nothing


def look(small: Image.Image) -> bytes:
    """The difference hash (dHash) of a thumbnail, 256 bits: is each of 16x16 cells darker than the one to its right?"""
    grey = np.asarray(small.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()  # (16, 16) bits


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
    """Pairs of rows, one of `a` and one of `b`, that look nearly the same: the first `most` (P, 2), and their number.

    `looks` (N, 4): the hashes. Two pictures are near when their hashes differ in at most the share NEAR of the bits
    that are set in either: a drawing on a plain ground has few, and must agree in all of them.
    """
    ones = np.bitwise_count(looks).sum(axis=1, dtype=np.int16)  # (N,)
    a, b = (part[ones[part] >= _FEWEST] for part in (a, b))
    found: list[NDArray[np.int64]] = []
    total = 0
    step = max(1, (1 << 22) // max(1, len(b)))  # 4 million comparisons at a time stay in a processor's cache
    for start in range(0, len(a), step):
        here = a[start : start + step]
        differ = np.zeros((len(here), len(b)), dtype=np.int16)
        for word in range(looks.shape[1]):
            differ += np.bitwise_count(looks[here, word][:, None] ^ looks[b, word][None, :])
        # Bits set in either = (ones + ones + differing) / 2
        either = (ones[here][:, None] + ones[b][None, :] + differ) * np.float32(NEAR / 2)
        left, right = np.nonzero(differ <= either)
        if total < most:
            found.append(np.column_stack([here[left], b[right]])[: most - total])
        total += len(left)
    return (np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)), total

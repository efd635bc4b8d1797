"""The same image where it must not be: byte for byte, or nearly (perceptual hash)."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.tables.rows import SPLITS, Rows

_SIDE = 16
DHASH_BYTES = _SIDE * _SIDE // 8
MAX_DIFFERENCE = 0.08  # of the bits set in either hash, the share that may differ
_MIN_BITS = 16  # bits set; images with fewer are too plain to compare


def dhash(small: Image.Image) -> bytes:
    """The difference hash of a thumbnail, 256 bits: is each of 16x16 cells darker than the one to its right?

    Source: N. Krawetz, "Kind of Like That" (2013); the same bits as `imagehash.dhash(image, hash_size=16)`.
    """
    grey = np.asarray(small.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()  # (16, 16) bits


def shared_images(rows: Rows) -> list[list[int]]:
    """Rows of byte-identical images that lie in more than one of train, val and test; one list per image."""
    copies: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(rows.sha256):
        if rows.split[row] in SPLITS:
            copies[digest].append(row)
    return [same for same in copies.values() if len({rows.split[row] for row in same}) > 1]


def near_duplicates(
    dhashes: NDArray[np.uint64], a: NDArray[np.int64], b: NDArray[np.int64], *, max_pairs: int
) -> tuple[NDArray[np.int64], int]:
    """Pairs of rows of `a` and `b` that look nearly the same: the first `max_pairs` of them (P, 2), and their number.

    `dhashes` (N, 4). Two images are near when their hashes differ in at most the share MAX_DIFFERENCE of the bits that
    are set in either: a drawing on a plain ground has few, and must agree in all of them.
    """
    ones = np.bitwise_count(dhashes).sum(axis=1, dtype=np.int16)  # (N,)
    a, b = (rows[ones[rows] >= _MIN_BITS] for rows in (a, b))
    found: list[NDArray[np.int64]] = []
    total = 0
    step = max(1, (1 << 22) // max(1, len(b)))  # 4 million comparisons at a time stay in a processor's cache
    for start in range(0, len(a), step):
        here = a[start : start + step]
        differ = np.zeros((len(here), len(b)), dtype=np.int16)
        for word in range(dhashes.shape[1]):
            differ += np.bitwise_count(dhashes[here, word][:, None] ^ dhashes[b, word][None, :])
        # Bits set in either = (ones + ones + differing) / 2
        limit = (ones[here][:, None] + ones[b][None, :] + differ) * np.float32(MAX_DIFFERENCE / 2)
        left, right = np.nonzero(differ <= limit)
        if total < max_pairs:
            found.append(np.column_stack([here[left], b[right]])[: max_pairs - total])
        total += len(left)
    return (np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)), total

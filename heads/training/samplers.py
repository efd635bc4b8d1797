"""Which rows meet in a step: blocks of K images of one group, and negatives."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from heads.errors import HeadError


@dataclass(frozen=True)
class Pool:
    """The rows that training may draw from.

    rows (N,) row numbers, codes (N,) their groups as integers, sides (N,) 0 for a query-side row (role `left`),
    1 for a gallery-side row, and None where rows have no roles. `left_out` counts rows of groups too small.
    """

    rows: np.ndarray
    codes: np.ndarray
    sides: np.ndarray | None
    left_out: int

    @property
    def groups(self) -> int:
        return len(np.unique(self.codes))


def make_pool(rows: np.ndarray, codes: np.ndarray, sides: np.ndarray | None, *, images: int) -> Pool:
    """Rows of groups with at least `images` images.

    Raises:
        HeadError: no group has that many, so no batch could hold a positive.
    """
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    keep = counts[inverse] >= images
    if not keep.any():
        raise HeadError(
            f"no training group has {images} images, so no anchor has a positive: "
            "lower head.images_per_group or give the groups more images"
        )
    if len(np.unique(codes[keep])) < 2:
        raise HeadError("training rows are all of one group, so no anchor has a negative: add a second group")
    return Pool(rows[keep], codes[keep], None if sides is None else sides[keep], int((~keep).sum()))


def epoch_blocks(pool: Pool, images: int, draw: Generator) -> np.ndarray:
    """Positions into the pool, (M, K): every group's images shuffled and cut into blocks of K, blocks shuffled.

    A group's last images that fill no block wait for the next epoch's shuffle.
    """
    shuffled = draw.permutation(len(pool.codes))
    ordered = shuffled[np.argsort(pool.codes[shuffled], kind="stable")]
    codes = pool.codes[ordered]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    sizes = np.diff(np.r_[starts, len(codes)])
    place = np.arange(len(codes)) - np.repeat(starts, sizes)  # the image's place in its group
    blocks = ordered[place < np.repeat(sizes // images * images, sizes)].reshape(-1, images)
    if pool.sides is not None:  # the query side first, so that column 0 is the anchor
        blocks = np.take_along_axis(blocks, np.argsort(pool.sides[blocks], axis=1, kind="stable"), axis=1)
    return draw.permutation(blocks)


def epoch_batches(pool: Pool, *, batch: int, images: int, draw: Generator) -> np.ndarray:
    """Positions into the pool, (steps, blocks a step, K). Fewer blocks than one batch holds make one smaller batch;
    otherwise the odd ones at the end wait for the next epoch, so that every step has one shape.
    """
    blocks = epoch_blocks(pool, images, draw)
    size = min(batch // images, len(blocks))
    steps = len(blocks) // size
    return blocks[: steps * size].reshape(steps, size, images)


def random_negatives(pool: Pool, anchors: np.ndarray, count: int, draw: Generator) -> np.ndarray:
    """Positions (..., count) of rows of other groups than `anchors` (...), on the gallery side where there are sides.

    Drawn with replacement, uniformly: a draw from the anchor's own group is drawn again.
    """
    candidates = np.arange(len(pool.rows)) if pool.sides is None else np.flatnonzero(pool.sides == 1)
    chosen = draw.choice(candidates, size=(*anchors.shape, count))
    own = pool.codes[anchors][..., None]
    while (clash := pool.codes[chosen] == own).any():
        chosen[clash] = draw.choice(candidates, size=int(clash.sum()))
    return chosen

"""Composition of batches: blocks of K images of one group, and negatives."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from heads.errors import HeadError


@dataclass(frozen=True)
class TrainingSet:
    """The rows that training may draw from."""

    rows: np.ndarray  # (n,) row numbers
    labels: np.ndarray  # (n,) their groups as integers
    sides: np.ndarray | None  # (n,) 0 for a query (role `left`), 1 for a gallery image; None where rows have no roles
    left_out: int  # rows of groups that are too small

    @property
    def groups(self) -> int:
        return len(np.unique(self.labels))

    def numbered(self) -> "TrainingSet":
        """With labels from 0 to C - 1, as classifiers need them."""
        return replace(self, labels=np.unique(self.labels, return_inverse=True)[1])


def make_training_set(rows: np.ndarray, labels: np.ndarray, sides: np.ndarray | None, *, images: int) -> TrainingSet:
    """The rows (N,) of groups with at least `images` images, with their labels (N,) and sides (N,).

    Raises:
        HeadError: no group has that many, so no batch could hold a positive; or only one has, so none has a negative.
    """
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    keep = counts[inverse] >= images
    if not keep.any():
        raise HeadError(
            f"no training group has {images} images, so no anchor has a positive: "
            "lower head.images_per_group or give the groups more images"
        )
    if len(np.unique(labels[keep])) < 2:
        raise HeadError("training rows are all of one group, so no anchor has a negative: add a second group")
    return TrainingSet(rows[keep], labels[keep], None if sides is None else sides[keep], int((~keep).sum()))


def epoch_blocks(training_set: TrainingSet, images: int, rng: Generator) -> np.ndarray:
    """Positions (M, K) in the training set: the images of every group shuffled and cut into blocks of K = `images`,
    blocks shuffled.

    The last images of a group that fill no block are left out of this epoch; the next one shuffles again.
    """
    shuffled = rng.permutation(len(training_set.labels))
    ordered = shuffled[np.argsort(training_set.labels[shuffled], kind="stable")]
    labels = training_set.labels[ordered]
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    sizes = np.diff(np.r_[starts, len(labels)])
    place = np.arange(len(labels)) - np.repeat(starts, sizes)  # the image's place in its group
    blocks = ordered[place < np.repeat(sizes // images * images, sizes)].reshape(-1, images)
    if training_set.sides is not None:  # the query first, so that column 0 is the anchor
        blocks = np.take_along_axis(blocks, np.argsort(training_set.sides[blocks], axis=1, kind="stable"), axis=1)
    return rng.permutation(blocks)


def epoch_batches(training_set: TrainingSet, *, batch: int, images: int, rng: Generator) -> np.ndarray:
    """Positions (batches, blocks per batch, K) in the training set. If all blocks are fewer than one batch holds they
    make one smaller batch; otherwise the last ones that fill no batch are left out of this epoch, so that
    every batch has one shape.
    """
    blocks = epoch_blocks(training_set, images, rng)
    count = batches_per_epoch(training_set, batch=batch, images=images)
    size = min(batch // images, len(blocks))
    return blocks[: count * size].reshape(count, size, images)


def batches_per_epoch(training_set: TrainingSet, *, batch: int, images: int) -> int:
    """The number of batches that `epoch_batches` gives."""
    blocks = int((np.unique(training_set.labels, return_counts=True)[1] // images).sum())
    return blocks // min(batch // images, blocks)


def random_negatives(training_set: TrainingSet, anchors: np.ndarray, count: int, rng: Generator) -> np.ndarray:
    """Positions (A, count) of rows of other groups than those of `anchors` (A,), gallery images where rows have sides.

    Drawn with replacement, uniformly: a draw from the anchor's own group is drawn again.
    """
    sides = training_set.sides
    candidates = np.arange(len(training_set.rows)) if sides is None else np.flatnonzero(sides == 1)
    drawn = rng.choice(candidates, size=(*anchors.shape, count))
    own = training_set.labels[anchors][..., None]
    while (clash := training_set.labels[drawn] == own).any():
        drawn[clash] = rng.choice(candidates, size=int(clash.sum()))
    return drawn

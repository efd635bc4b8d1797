"""Nearly identical images of two splits: alike in shape (their difference hashes), in colour, and by their features."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.preparation.audit import Audit, NearDuplicates
from data.tables.rows import read_thumbs

CHECKED = 2_000  # pairs of equal shape, per two splits, whose colours are compared
SIDE = 8  # cells along a side of a thumbnail
COLOUR = 0.045  # mean difference of the cells' channels, of 1: two flags of other colours are beyond it
RANDOM_PAIRS, RARE = 20_000, 0.999  # features nearer than those of so many random pairs


def confirm(found: Audit, rows_path: Path, *, features: NDArray[np.float32] | None = None) -> Audit:
    """`found` without the pairs that differ in colour or, given `features` (N, D), whose features are not near.

    Thumbnails come from `rows_path`, rows.parquet. `found` should hold up to `CHECKED` pairs per two splits; where
    there were more, the total is a lower bound.
    """
    involved = np.unique(np.concatenate([near.pairs.ravel() for near in found.near.values()]))
    colours = np.empty((len(involved), SIDE, SIDE, 3), np.float32)
    for place, thumb in enumerate(read_thumbs(rows_path, involved) if len(involved) else []):
        small = Image.open(io.BytesIO(thumb)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        colours[place] = np.asarray(small, np.float32) / 255
    near = {}
    for splits, duplicates in found.near.items():
        left, right = np.searchsorted(involved, duplicates.pairs.T)
        kept = np.abs(colours[left] - colours[right]).mean((1, 2, 3)) <= COLOUR
        if features is not None:
            kept &= _near_by_features(features, duplicates.pairs)
        pairs = duplicates.pairs[kept]
        near[splits] = NearDuplicates(pairs, len(pairs))
    return replace(found, near=near)


def near_pairs(found: Audit) -> NDArray[np.int64]:
    """(P, 2) rows of the nearly identical images of any two splits."""
    return np.concatenate([np.empty((0, 2), np.int64), *(near.pairs for near in found.near.values())])


def _near_by_features(features: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(P,) cosine above that of nearly all random pairs: what is near depends on the network."""
    random = np.random.default_rng(0).integers(len(features), size=(RANDOM_PAIRS, 2))
    random = random[random[:, 0] != random[:, 1]]
    return _cosines(features, pairs) >= np.quantile(_cosines(features, random), RARE)


def _cosines(features: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """(P,), in blocks."""
    blocks = []
    for part in np.array_split(pairs, max(1, len(pairs) // 2_000)):
        a, b = features[part[:, 0]], features[part[:, 1]]
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        blocks.append((a * b).sum(1) / np.maximum(lengths, 1e-12))
    return np.concatenate(blocks)

"""What may be wrong with a prepared data set: the same picture twice, or groups where they must not be."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from data.preparation.leaks import near_pictures, shared_pictures
from data.tables.protocol import Protocol
from data.tables.rows import SPLITS, Rows


@dataclass(frozen=True)
class Near:
    """Pictures of two splits that look nearly the same."""

    pairs: NDArray[np.int64]  # (P, 2) the first of them
    total: int


@dataclass(frozen=True)
class Audit:
    identical: list[list[int]]  # rows of one picture, byte for byte, in more than one split
    contradictions: list[list[int]]  # rows of one picture under different groups
    near: dict[tuple[str, str], Near]  # by the two splits
    straddling: list[str]  # groups in more than one split, where splits are by group


def audit(rows: Rows, protocol: Protocol, looks: NDArray[np.uint64], *, most: int = 100) -> Audit:
    """Compare the splits with each other; `most` pairs of near pictures are kept for each two splits."""
    here = {name: rows.where(split=name) for name in SPLITS}
    copies: dict[str, list[int]] = defaultdict(list)
    splits: dict[str, set[str]] = defaultdict(set)
    for row, digest in enumerate(rows.sha256):
        if rows.split[row] in SPLITS:
            copies[digest].append(row)
            splits[rows.group[row]].add(rows.split[row])
    near = {}
    for a, b in combinations(SPLITS, 2):
        pairs, total = near_pictures(looks, here[a], here[b], most=most)
        near[a, b] = Near(pairs, total)
    return Audit(
        identical=shared_pictures(rows),
        contradictions=[held for held in copies.values() if len({rows.group[row] for row in held}) > 1],
        near=near,
        straddling=sorted(group for group, found in splits.items() if len(found) > 1)
        if protocol.split_by == "group"
        else [],
    )

"""What may be wrong with a prepared data set: an image twice, or a group in two splits that should be in one."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from data.preparation.duplicates import near_duplicates, shared_images
from data.tables.protocol import Protocol
from data.tables.rows import SPLITS, Rows


@dataclass(frozen=True)
class NearDuplicates:
    """Images of two splits that look nearly the same."""

    pairs: NDArray[np.int64]  # (P, 2) the first of them
    total: int


@dataclass(frozen=True)
class Audit:
    identical: list[list[int]]  # rows of one image, byte for byte, in more than one split
    contradictions: list[list[int]]  # rows of one image under different groups
    near: dict[tuple[str, str], NearDuplicates]  # by the two splits
    straddling: list[str]  # groups in more than one split, where splits are by group
    unmatched: dict[str, list[str]] = field(
        default_factory=dict
    )  # by split: groups of one image there, which has no match
    only_train: list[str] = field(
        default_factory=list
    )  # groups that are neither validated nor tested, where splits are by image


def audit(rows: Rows, protocol: Protocol, dhashes: NDArray[np.uint64], *, max_pairs: int = 100) -> Audit:
    """Compare the splits with each other.

    `dhashes` (N, 4): the difference hash of each row. At most `max_pairs` near duplicates are kept per two splits.
    """
    rows_of = {name: rows.where(split=name) for name in SPLITS}
    copies: dict[str, list[int]] = defaultdict(list)
    splits: dict[str, set[str]] = defaultdict(set)
    for row, digest in enumerate(rows.sha256):
        if rows.split[row] in SPLITS:
            copies[digest].append(row)
            splits[rows.group[row]].add(rows.split[row])
    return Audit(
        identical=shared_images(rows),
        contradictions=[same for same in copies.values() if len({rows.group[row] for row in same}) > 1],
        near={
            (a, b): NearDuplicates(*near_duplicates(dhashes, rows_of[a], rows_of[b], max_pairs=max_pairs))
            for a, b in combinations(SPLITS, 2)
        },
        straddling=sorted(group for group, found in splits.items() if len(found) > 1)
        if protocol.split_by == "group"
        else [],
        unmatched={name: _single_groups(rows, name) for name in ("val", "test")},
        only_train=sorted(group for group, found in splits.items() if found == {"train"})
        if protocol.split_by == "image"
        else [],
    )


def _single_groups(rows: Rows, split: str) -> list[str]:
    counts = Counter(rows.group[rows.split == split])
    return sorted(group for group, count in counts.items() if count == 1)

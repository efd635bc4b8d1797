"""Which rows train, choose and test: families of groups are dealt whole."""

from collections.abc import Mapping, Sequence

import numpy as np

from data.rows import SPLITS


def families(labels: Sequence[Sequence[str]]) -> list[int]:
    """Number the families of things that share a label, directly or through others (union-find).

    `labels[i]` are the labels of thing `i`; the answer is its family's number, in order of first appearance.
    """
    parent = list(range(len(labels)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    holder: dict[str, int] = {}
    for index, own in enumerate(labels):
        for label in own:
            first = root(holder.setdefault(label, index))
            parent[root(index)] = first
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(len(labels))]


def deal(sizes: Sequence[int], shares: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """A split for each family of `sizes[i]` members, so that members come in the `shares` (train, val, test).

    Families are drawn largest first, in random order among equals; each goes to a split with a chance proportional to
    the room left there. So shares come out exact to a small family, and no split attracts large or small ones.
    """
    total = sum(sizes)
    room = np.array([shares[name] * total for name in SPLITS])
    order = sorted(rng.permutation(len(sizes)), key=lambda index: -sizes[index])
    answer = [""] * len(sizes)
    for index in order:
        open_room = np.maximum(room, 0)
        if open_room.sum() <= 0:  # the last few, after rounding
            open_room = np.array([shares[name] for name in SPLITS])
        fits = np.where(room >= sizes[index], open_room, 0)
        weights = fits if fits.sum() > 0 else open_room
        chosen = int(rng.choice(len(SPLITS), p=weights / weights.sum()))
        room[chosen] -= sizes[index]
        answer[index] = SPLITS[chosen]
    return answer

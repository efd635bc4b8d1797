"""Assignment of images to train, val and test. Families and identical images are never separated."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.components import components_by_label
from data.datasets.source import Item, first_five
from data.errors import DataError
from data.preparation.rng import generator
from data.settings import Splits
from data.tables.rows import SPLITS

MIN_IMAGES = 6  # of a group, to have a match in each of train, val and test


@dataclass(frozen=True)
class SplitPlan:
    """How to split: by image (groups in train are also tested) or by group (whole groups are held out)."""

    split_by: str  # image, group
    shares: Splits
    seen: frozenset[str]  # groups that training may see
    draw_test: bool  # by group: a share of the groups that training may see is held out as test
    folds: int | None = None
    fold: int = 0


def assign_splits(items: Sequence[Item], hashes: Sequence[str], plan: SplitPlan, *, seed: int) -> list[str]:
    """train, val, test or submit for each item. `hashes`: the sha256 of each item's bytes.

    Images of the publisher's test and of groups that training may not see go to test.
    By image, the publisher's validation images and a share of the rest go to val; a group without test images of the
    publisher's gives a share to test too. A small group gives two images at least, for a single one has no match; a
    group of fewer than four only trains.
    By group, whole families of groups are assigned; with a test of the publisher's, only to train and val. Validation
    images of the publisher's are never trained on.

    Raises:
        DataError: a split is empty.
    """
    inside = [index for index, item in enumerate(items) if item.part != "submit"]
    chosen = [items[index] for index in inside]
    digests = [hashes[index] for index in inside]
    assigned = (_by_group if plan.split_by == "group" else _by_image)(chosen, digests, plan, seed)
    answer = ["submit"] * len(items)
    for index, name in zip(inside, assigned, strict=True):
        answer[index] = name
    for name in SPLITS:
        if name not in assigned:
            raise DataError(f"data.splits: no image falls into {name}: {_why_empty(chosen, plan)}")
    return answer


def _why_empty(items: Sequence[Item], plan: SplitPlan) -> str:
    sizes = Counter(item.group for item in items)
    if plan.split_by == "group" or plan.folds:
        counts = f"{len(items)} images of {len(sizes)} groups, split by {plan.split_by}"
        return f"{counts}; add groups, or change data.splits or data.split_by"
    small = sorted((size, group) for group, size in sizes.items() if size < MIN_IMAGES)
    named = first_five(f"{group}: {size}" for size, group in small)
    return (
        f"{len(small)} of {len(sizes)} groups have fewer images than the {MIN_IMAGES} that train, val and test need "
        f"({named}); add images, raise data.limit if it is set, or hold out whole groups with data.split_by=group"
    )


def assign(sizes: Sequence[int], shares: Sequence[float], rng: np.random.Generator) -> list[int]:
    """A split (0, 1, ...) for each family of `sizes[i]` members, so that members come in `shares`.

    Families are drawn largest first, in random order among equals; each goes to a split with a probability proportional
    to the room left there. So shares are exact to the size of a small family, and no split attracts large families.
    The last families go to splits that would stay without two (a match needs a non-match beside it), or without any if
    there are not enough families.
    """
    total = sum(sizes)
    weights = np.array(shares, dtype=float) / sum(shares)
    room = weights * total
    count = np.zeros(len(room), dtype=int)  # families per split
    least = 2 if len(sizes) >= 2 * len(room) else 1
    answer = [0] * len(sizes)
    for done, index in enumerate(sorted(rng.permutation(len(sizes)), key=lambda index: -sizes[index])):
        left = np.maximum(room, 0)
        lacking = np.maximum(least - count, 0)
        if len(sizes) - done <= lacking.sum():
            left = np.where(lacking, weights, 0)
        fits = np.where(room >= sizes[index], left, 0)  # (splits,)
        chance = next(one for one in (fits, left, weights) if one.sum() > 0)
        split = int(rng.choice(len(room), p=chance / chance.sum()))
        room[split] -= sizes[index]
        count[split] += 1
        answer[index] = split
    return answer


def _by_group(items: Sequence[Item], hashes: Sequence[str], plan: SplitPlan, seed: int) -> list[str]:
    labels: dict[str, set[str]] = defaultdict(set)
    for item, digest in zip(items, hashes, strict=True):
        if item.group in plan.seen:
            labels[item.group] |= {f"family {item.family or item.group}", f"image {digest}"}
    groups = sorted(labels)
    family = components_by_label([sorted(labels[group]) for group in groups])
    split_of_family = _assign_families(np.bincount(family).tolist() if groups else [], plan, seed)
    split_of = {group: split_of_family[number] for group, number in zip(groups, family, strict=True)}
    answer = []
    for item in items:
        split = split_of.get(item.group, "test")
        answer.append(item.part if split == "train" and item.part in ("val", "test") else split)
    return answer


def _assign_families(sizes: list[int], plan: SplitPlan, seed: int) -> list[str]:
    rng = generator(seed, "splits")
    shares = plan.shares
    if not plan.draw_test:
        return [SPLITS[split] for split in assign(sizes, (shares.train, shares.val), rng)]
    if plan.folds is None:
        return [SPLITS[split] for split in assign(sizes, (shares.train, shares.val, shares.test), rng)]
    folds = assign(sizes, [1.0] * plan.folds, rng)
    rest = [family for family, fold in enumerate(folds) if fold != plan.fold]
    inner = assign([sizes[family] for family in rest], (shares.train, shares.val), generator(seed, "val"))
    answer = ["test"] * len(sizes)
    for family, split in zip(rest, inner, strict=True):
        answer[family] = SPLITS[split]
    return answer


Copies = list[int]  # the indices of identical images


def _by_image(items: Sequence[Item], hashes: Sequence[str], plan: SplitPlan, seed: int) -> list[str]:
    answer = [
        "test" if item.group not in plan.seen else item.part if item.part in ("val", "test") else "" for item in items
    ]
    rng = generator(seed, "splits")
    for splits, groups in _strata(items, hashes, answer):
        for copies, split in _assign_stratum(groups, splits, plan, rng):
            for index in copies:
                answer[index] = split
    return answer


def _strata(
    items: Sequence[Item], hashes: Sequence[str], assigned: Sequence[str]
) -> Iterator[tuple[list[str], list[list[Copies]]]]:
    """The images that are not assigned yet, by the splits that their group may go to: those not given by the publisher.

    Yields the splits, and for each group (sorted) its images. Identical images count as one, of the first one's group.
    """
    given = {name: {item.group for item in items if item.part == name} for name in ("val", "test")}
    strata: dict[tuple[bool, bool], dict[str, dict[str, Copies]]] = defaultdict(lambda: defaultdict(dict))
    home: dict[str, str] = {}
    for index, item in enumerate(items):
        if not assigned[index]:
            group = home.setdefault(hashes[index], item.group)
            stratum = strata[group in given["val"], group in given["test"]]
            stratum[group].setdefault(hashes[index], []).append(index)
    for has_val, has_test in sorted(strata):
        groups = strata[has_val, has_test]
        splits = ["train", *["val"] * (not has_val), *["test"] * (not has_test)]
        yield splits, [list(groups[group].values()) for group in sorted(groups)]


def _assign_stratum(
    groups: list[list[Copies]], splits: list[str], plan: SplitPlan, rng: np.random.Generator
) -> Iterator[tuple[Copies, str]]:
    shares = [getattr(plan.shares, split) for split in splits]
    queue: list[Copies] = []  # images of large groups, group by group
    pairs: list[list[Copies]] = []  # two images of each group that can give no more
    for images in groups:
        shuffled = [images[place] for place in rng.permutation(len(images))]
        quota = None if plan.folds else _quota(len(shuffled), splits, plan.shares)
        if plan.folds or quota is None:
            queue += shuffled
        elif quota:
            yield from zip(shuffled, quota, strict=True)
        else:
            held_out = 2 if len(shuffled) >= 4 else 0
            yield from ((copies, "train") for copies in shuffled[held_out:])
            pairs += [shuffled[:held_out]] * bool(held_out)
    for two, split in zip(pairs, _spread(len(pairs), shares[1:]) if pairs else [], strict=True):
        yield from ((copies, splits[1 + split]) for copies in two)
    if plan.folds is not None and "test" in splits:
        tested = [place % plan.folds == plan.fold for place in range(len(queue))]
        others = iter(_spread(len(queue) - sum(tested), shares[:-1]))
        names = ["test" if test else splits[next(others)] for test in tested]
    else:
        names = [splits[split] for split in _spread(len(queue), shares)]
    yield from zip(queue, names, strict=True)


def _quota(count: int, splits: Sequence[str], shares: Splits) -> list[str] | None:
    """The split of each image of a small group: at least two per split, since a single image has no match there.

    None if shares give two by themselves, [] if there are too few images for that.
    """
    weights = {split: getattr(shares, split) for split in splits}
    exact = {split: count * weight / sum(weights.values()) for split, weight in weights.items()}
    wanted = {split: max(2, round(exact[split])) for split in splits[1:]}
    left = count - sum(wanted.values())
    if min(exact.values()) >= 2 or not wanted:
        return None
    if left < 2:
        return []
    return ["train"] * left + [split for split, size in wanted.items() for _ in range(size)]


def _spread(count: int, shares: Sequence[float]) -> list[int]:
    """Splits for a sequence of `count` images, in exact shares over every stretch of it: so over every group in it."""
    weights = np.array(shares, dtype=float) / sum(shares)
    given = np.zeros(len(shares))
    answer = []
    for place in range(count):
        split = int(np.argmax(weights * (place + 1) - given))
        given[split] += 1
        answer.append(split)
    return answer

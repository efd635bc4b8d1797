"""Which rows train, choose and test. What belongs together (families, identical pictures) is dealt whole."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.datasets.source import Item
from data.errors import DataError
from data.preparation.rng import generator
from data.settings import Splits
from data.tables.rows import SPLITS


@dataclass(frozen=True)
class Plan:
    """How to split: by image (groups in train are also tested) or by group (whole groups are held out)."""

    by: str  # image, group
    shares: Splits
    seen: frozenset[str]  # groups that training may see
    deal_tests: bool  # by group: test groups are dealt too, not only those that training may not see
    folds: int | None = None
    fold: int = 0


def split(items: Sequence[Item], hashes: Sequence[str], plan: Plan, *, seed: int) -> list[str]:
    """train, val, test (or submit) for each item.

    The publisher's test images test, and groups that training may not see test. By image, the publisher's validation
    images and a share of the rest choose, and a group without test images of its own gives a share of them as well; a
    small group gives two at least, for a single image has no match.
    By group, whole families of groups are dealt; where test groups are given, only to train and val.

    Raises:
        DataError: a split is empty.
    """
    inside = [index for index, item in enumerate(items) if item.part != "submit"]
    chosen = [items[index] for index in inside]
    digests = [hashes[index] for index in inside]
    dealt = (_by_group if plan.by == "group" else _by_image)(chosen, digests, plan, seed)
    answer = ["submit"] * len(items)
    for index, name in zip(inside, dealt, strict=True):
        answer[index] = name
    for name in SPLITS:
        if name not in dealt:
            groups = len({item.group for item in chosen})
            raise DataError(
                f"data.splits: no image falls into {name} ({len(chosen)} images of {groups} groups, split by {plan.by})"
                f"; add images, or change data.splits or data.split_by"
            )
    return answer


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


def deal(sizes: Sequence[int], shares: Sequence[float], rng: np.random.Generator) -> list[int]:
    """A hand for each family of `sizes[i]` members, so that members come in the `shares` of the hands.

    Families are drawn largest first, in random order among equals; each goes to a hand with a chance proportional to
    the room left there. So shares come out exact to a small family, and no hand attracts large or small ones. The last
    families go to hands that would stay empty, so that no hand is empty where there are families enough.
    """
    total = sum(sizes)
    weights = np.array(shares, dtype=float) / sum(shares)
    room = weights * total
    held = np.zeros(len(room), dtype=int)
    answer = [0] * len(sizes)
    for done, index in enumerate(sorted(rng.permutation(len(sizes)), key=lambda index: -sizes[index])):
        left = np.maximum(room, 0)
        if len(sizes) - done <= (held == 0).sum():
            left = np.where(held == 0, weights, 0)
        fits = np.where(room >= sizes[index], left, 0)  # (hands,)
        chance = next(one for one in (fits, left, weights) if one.sum() > 0)
        hand = int(rng.choice(len(room), p=chance / chance.sum()))
        room[hand] -= sizes[index]
        held[hand] += 1
        answer[index] = hand
    return answer


def _by_group(items: Sequence[Item], hashes: Sequence[str], plan: Plan, seed: int) -> list[str]:
    labels: dict[str, set[str]] = defaultdict(set)
    for item, digest in zip(items, hashes, strict=True):
        if item.group in plan.seen:
            labels[item.group] |= {f"family {item.family or item.group}", f"picture {digest}"}
    groups = sorted(labels)
    number = families([sorted(labels[group]) for group in groups])
    sizes = np.bincount(number).tolist() if groups else []
    rng = generator(seed, "splits")
    shares = plan.shares
    if not plan.deal_tests:
        hands = [SPLITS[hand] for hand in deal(sizes, (shares.train, shares.val), rng)]
    elif plan.folds is None:
        hands = [SPLITS[hand] for hand in deal(sizes, (shares.train, shares.val, shares.test), rng)]
    else:
        folds = deal(sizes, [1.0] * plan.folds, rng)
        rest = [family for family, fold in enumerate(folds) if fold != plan.fold]
        inner = deal([sizes[family] for family in rest], (shares.train, shares.val), generator(seed, "val"))
        hands = ["test"] * len(sizes)
        for family, hand in zip(rest, inner, strict=True):
            hands[family] = SPLITS[hand]
    where = {group: hands[family] for group, family in zip(groups, number, strict=True)}
    answer = []
    for item in items:
        hand = where.get(item.group, "test")
        answer.append("test" if hand == "train" and item.part == "test" else hand)
    return answer


def _by_image(items: Sequence[Item], hashes: Sequence[str], plan: Plan, seed: int) -> list[str]:
    has_test = {item.group for item in items if item.part == "test"}
    has_val = {item.group for item in items if item.part == "val"}
    answer = [item.part if item.part in ("val", "test") else "" for item in items]
    cells: dict[tuple[bool, bool], dict[str, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(dict))
    home: dict[str, str] = {}  # identical pictures go together, with the group of the first
    for index, item in enumerate(items):
        if item.group not in plan.seen:
            answer[index] = "test"
        elif not answer[index]:
            group = home.setdefault(hashes[index], item.group)
            cell = cells[group in has_val, group in has_test]
            cell[group].setdefault(hashes[index], []).append(index)
    shares = plan.shares
    rng = generator(seed, "splits")
    for no_val, no_test in sorted(cells):
        hands = ["train"] + ["val"] * (not no_val) + ["test"] * (not no_test)
        queue = []
        for group in sorted(cells[no_val, no_test]):
            pictures = list(cells[no_val, no_test][group].values())
            shuffled = [pictures[place] for place in rng.permutation(len(pictures))]
            quota = None if plan.folds else _quota(len(shuffled), hands, shares)
            if quota is None:
                queue += shuffled
                continue
            for held, name in zip(shuffled, quota, strict=True):
                for index in held:
                    answer[index] = name
        if plan.folds is not None and not no_test:
            tested = [place % plan.folds == plan.fold for place in range(len(queue))]
            others = iter(_spread(len(queue) - sum(tested), (shares.train, shares.val)[: len(hands) - 1]))
            names = ["test" if test else SPLITS[next(others)] for test in tested]
        else:
            names = [hands[hand] for hand in _spread(len(queue), [getattr(shares, hand) for hand in hands])]
        for pictures, name in zip(queue, names, strict=True):
            for index in pictures:
                answer[index] = name
    return answer


def _quota(count: int, hands: Sequence[str], shares: Splits) -> list[str] | None:
    """For a group too small for shares alone: two images at least in each hand, since one has no match there.

    None where shares do as well by themselves, or there are too few images for that.
    """
    weights = {hand: getattr(shares, hand) for hand in hands}
    exact = {hand: count * weight / sum(weights.values()) for hand, weight in weights.items()}
    wanted = {hand: max(2, round(exact[hand])) for hand in hands[1:]}
    left = count - sum(wanted.values())
    if min(exact.values()) >= 2 or left < 2:
        return None
    return ["train"] * left + [hand for hand, size in wanted.items() for _ in range(size)]


def _spread(count: int, shares: Sequence[float]) -> list[int]:
    """Hands for a row of `count` things, in exact shares over every stretch of the row: so over every group in it."""
    weights = np.array(shares, dtype=float) / sum(shares)
    given = np.zeros(len(shares))
    answer = []
    for place in range(count):
        hand = int(np.argmax(weights * (place + 1) - given))
        given[hand] += 1
        answer.append(hand)
    return answer

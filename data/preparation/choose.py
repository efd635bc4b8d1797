"""Before any image is read: which groups training may see, and which images are used at all."""

import re
from collections import defaultdict
from collections.abc import Sequence

from data.datasets.source import Item
from data.errors import DataError, did_you_mean
from data.preparation.rng import generator


def natural_sort(groups: set[str]) -> list[str]:
    """Group names with their numbers in numerical order: `2` before `10`."""
    return sorted(groups, key=lambda name: ([int(part) if part.isdigit() else part for part in _pieces(name)], name))


def seen_groups(items: Sequence[Item], seen: float | int | tuple[str, ...] | None) -> set[str]:
    """The groups that training may see: all that have images to train on, the first of them, or those named.

    A share or a count is of all groups, in order.

    Raises:
        DataError: more than there are, or a name that is not there.
    """
    every = {item.group for item in items}
    able = {item.group for item in items if item.part not in ("test", "submit")}
    if seen is None:
        return able
    if isinstance(seen, tuple):
        for name in seen:
            if name not in able:
                hint = did_you_mean(name, natural_sort(able))
                raise DataError(f"data.seen: no group '{name}' to train on{hint}")
        return set(seen)
    count = seen if isinstance(seen, int) else max(1, round(seen * len(every)))
    if count > len(able) and isinstance(seen, int):
        raise DataError(f"data.seen: {count} groups wanted, there are {len(able)} to train on")
    return set(natural_sort(able)[:count])


def choose(
    items: Sequence[Item], *, seen: set[str], groups: int | None, limit: int | None, seed: int
) -> tuple[list[int], int]:
    """Indices of the items to use, ascending, and the number left out because training may not see them.

    An unseen group with test images of its own loses its training images: they are not for training. `groups` keeps
    the first groups; `limit` images are spread evenly over groups (and, within a group, over its publisher's parts).

    Raises:
        DataError: `limit` is smaller than one image a group and part.
    """
    wanted = set(natural_sort({item.group for item in items})[:groups])
    tested = {item.group for item in items if item.part == "test"}
    kept, hidden = [], 0
    for index, item in enumerate(items):
        if item.group not in wanted:
            continue
        if item.group in tested and item.group not in seen and item.part != "test":
            hidden += 1
            continue
        kept.append(index)
    return (kept if limit is None else _limited(items, kept, limit, seed)), hidden


def _limited(items: Sequence[Item], kept: list[int], limit: int, seed: int) -> list[int]:
    rng = generator(seed, "limit")
    if all(item.role for item in items):  # whole pairs; what is kept for `submit` stays
        fixed = [index for index in kept if items[index].part == "submit"]
        groups = sorted({items[index].group for index in kept if items[index].part != "submit"})
        pairs = {groups[place] for place in rng.permutation(len(groups))[: limit // 2]}
        return sorted(fixed + [index for index in kept if items[index].group in pairs])
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index in kept:
        cells[items[index].group, items[index].part].append(index)
    if limit < len(cells):
        raise DataError(f"data.limit: {limit} images cannot cover {len(cells)} groups; give at least {len(cells)}")
    chosen: list[int] = []
    smallest_first = sorted(cells, key=lambda cell: (len(cells[cell]), cell))
    for done, cell in enumerate(smallest_first):  # what small groups leave is shared by the rest
        quota = (limit - len(chosen)) // (len(cells) - done)
        members = cells[cell]
        chosen += [members[place] for place in rng.permutation(len(members))[:quota]]
    return sorted(chosen)


def _pieces(name: str) -> list[str]:
    # Digits land on odd places, so that numbers are never compared with text.
    return re.split(r"([0-9]+)", name)

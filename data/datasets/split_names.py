"""The usual names of splits: `train`, `Training`, `valid`, `dev`, `test_set`, `seg_train` beside `seg_test`, ..."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from data.datasets.source import Item, first_five

_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}
_FILLERS = (
    *("set", "data", "dataset", "split", "folder", "files", "images", "image", "imgs", "img", "photos", "pictures"),
    *("labels", "label", "list", "annotations", "metadata", "meta"),
)


def split_of(name: str) -> str | None:
    """`train`, `val` or `test` for a name that says nothing else (`Train`, `test_set`, `val2017`), or None."""
    split, rest = _parse(name)
    return split if not rest else None


def split_names(names: Collection[str]) -> dict[str, str]:
    """Name -> split, for those of the sibling names that name a split.

    A name with other words in it counts if a sibling has the same ones with another split: `seg_train` and `seg_test`
    are splits, `bullet_train` alone and `train_station` beside `test_tube` are not.
    """
    found = {name: split for name in names if (split := split_of(name))}
    series: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        split, rest = _parse(name)
        if split and rest:
            series[rest][name] = split
    for members in series.values():
        if len(set(members.values())) > 1:
            found |= members
    return found


def split_notes(items: Sequence[Item]) -> list[str]:
    """What a person must know of the splits that the data came with: what is missing in them, what is new in them."""
    groups = {name: {item.group for item in items if item.part == name} for name in ("train", "val", "test")}
    counts = Counter(item.part for item in items if item.part in groups)
    notes = []
    if counts:
        counted = ", ".join(f"{name} {counts[name]:,}" for name in groups if counts[name])
        free = len(items) - sum(counts.values())
        more = f"; the other {free:,} are split anew" if free else ""
        notes.append(f"the splits of the data are kept: {counted} images{more}")
    if groups["train"] and not groups["test"]:
        drawn = "val is kept, and a test is" if groups["val"] else "val and a test are"
        notes.append(f"the data have no test split with labels: {drawn} drawn from train")
    if groups["train"]:
        for name in ("val", "test"):
            if new := sorted(groups[name] - groups["train"]):
                notes.append(f"{len(new)} classes of {name} are not in train ({first_five(new)})")
            if groups[name] and (gone := sorted(groups["train"] - groups[name])):
                notes.append(f"{len(gone)} classes of train have no images in {name} ({first_five(gone)})")
    return notes


def _parse(name: str) -> tuple[str | None, tuple[str, ...]]:
    """The split that a name holds exactly one word of, and its other words."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())
    stems = [
        next((word.removesuffix(end) for end in _FILLERS if word.removesuffix(end) in _SPLITS), word) for word in words
    ]
    splits = [stem for stem in stems if stem in _SPLITS]
    if len(splits) != 1:
        return None, ()
    return _SPLITS[splits[0]], tuple(stem for stem in stems if stem not in (splits[0], *_FILLERS))

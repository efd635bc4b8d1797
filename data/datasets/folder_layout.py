"""Which folders of a tree are splits and which are classes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from data.datasets.source import first_five
from data.datasets.split_names import split_names, split_of
from data.errors import DataError

_NO_CLASS = ("unknown", "unlabeled", "unlabelled", "images", "image", "imgs", "img", "data", "all")
Parts = tuple[str, ...]  # a name, cut at its slashes


@dataclass
class Layout:
    """`places[name]`: the split ("" if there is none) and the class folders of each image, outermost first."""

    places: dict[str, tuple[str, Parts]] = field(default_factory=dict)
    classless: list[str] = field(default_factory=list)  # images in no class folder
    unlabelled: dict[str, list[str]] = field(default_factory=dict)  # of splits without class folders, by their folder
    beside: dict[str, list[str]] = field(default_factory=dict)  # in folders beside those of the splits


def read_layout(names: Sequence[str], where: str, *, splits: bool = True) -> Layout:
    """Find the splits in the folders above or right below the classes; with `splits` false, take no folder for a split.

    One folder that wraps everything is looked through.

    Raises:
        DataError: some folders look like splits, and it is not clear which.
    """
    paths = {name: tuple(name.split("/")) for name in names}
    skip = _wrapper(paths.values())
    cut = {name: path[skip:] for name, path in paths.items()}
    if splits:
        if found := _splits_on_top(cut, where):
            return found
        if found := _splits_in_classes(cut, where):
            return found
        _check_no_split_is_left(cut, where)
    layout = Layout()
    for name, path in cut.items():
        if len(path) > 1:
            layout.places[name] = ("", path[:-1])
        else:
            layout.classless.append(name)
    return layout


def _wrapper(paths: Iterable[Parts]) -> int:
    """How many outer folders hold everything and are neither classes nor splits."""
    depth = 0
    every = list(paths)
    while every:
        tops = {path[depth] for path in every if len(path) > depth + 1}
        inner = {path[depth + 1] for path in every if len(path) > depth + 2}
        loose = any(len(path) == depth + 2 for path in every)  # images right inside
        outside = any(len(path) <= depth + 1 for path in every)
        if len(tops) != 1 or outside or not inner or split_of(*tops):
            break
        if loose and not split_names(inner):  # a class with classes inside
            break
        depth += 1
    return depth


def _splits_on_top(cut: dict[str, Parts], where: str) -> Layout | None:
    tops = {path[0] for path in cut.values() if len(path) > 1}
    found = split_names(tops)
    holds_classes = {path[0] for path in cut.values() if len(path) > 2}
    others = sorted(tops - found.keys())
    distinct = set(found.values())
    if not found:
        return None
    if not found.keys() & holds_classes:
        if len(distinct) == 1 and others:  # a class called train
            return None
        raise DataError(
            f"{where}: {first_five(sorted(found))} are named like splits and hold no class folders; put the images of "
            f"each class into a folder of its own inside them, or list the images and their labels in a table and use "
            f"-S data.name=table"
        )
    if len(distinct) == 1 and holds_classes & set(others):
        raise DataError(
            f"{where}: {first_five(sorted(found))} looks like a split, and {first_five(others)} beside it does not; "
            f"move what is no split elsewhere, or take every folder for a class with -S data.group=path"
        )
    if "train" not in distinct:
        raise DataError(
            f"{where}: holds {first_five(sorted(found))} and no train split; name the folder above it in data.path, or "
            f"take every folder for a class with -S data.group=path"
        )
    layout = Layout()
    inner = _inner(cut, found)
    deep = {path[0] for path in cut.values() if len(path) > (3 if path[0] in inner else 2)}  # splits with classes
    for name, path in cut.items():
        if len(path) == 1:
            layout.classless.append(name)
        elif path[0] not in found:
            layout.beside.setdefault(path[0], []).append(name)
        elif path[0] not in deep:
            layout.unlabelled.setdefault(path[0], []).append(name)
        elif len(path) == 2 or (path[0] in inner and len(path) == 3):
            layout.classless.append(name)
        else:
            layout.places[name] = (found[path[0]], path[2 if path[0] in inner else 1 : -1])
    return layout


def _inner(cut: dict[str, Parts], found: dict[str, str]) -> set[str]:
    """Splits whose one folder is no class: it names the split again (`test_set/test_set/cats`), or is the same in all
    splits and holds classes in one (`train/images/cats`), or has no name (`test/unknown/1.jpg`).
    """
    inner: dict[str, set[str]] = defaultdict(set)
    deeper: set[str] = set()
    for path in cut.values():
        if path[0] in found and len(path) > 2:
            inner[path[0]].add(path[1])
            deeper |= {path[0]} if len(path) > 3 else set()
    single = {top: next(iter(names)) for top, names in inner.items() if len(names) == 1}
    if deeper and len(single) == len(inner) and len(set(single.values())) == 1:
        return set(single)
    trained = {name for top, names in inner.items() if found[top] == "train" for name in names}
    return {
        top
        for top, name in single.items()
        if name == top
        or split_of(name) == found[top]
        or (name.casefold() in _NO_CLASS and name not in trained and found[top] != "train")
    }


def _splits_in_classes(cut: dict[str, Parts], where: str) -> Layout | None:
    """`cats/train/1.jpg`: the folders right inside every top folder are splits."""
    inner: dict[str, set[str]] = defaultdict(set)
    for path in cut.values():
        if len(path) > 2:
            inner[path[0]].add(path[1])
    words = {name: split for names in inner.values() for name in names if (split := split_of(name))}
    if len(set(words.values())) < 2:
        return None
    strange = sorted(f"{top}/{name}" for top, names in inner.items() for name in names if name not in words)
    strange += sorted({path[0] for path in cut.values() if len(path) == 2})
    if strange:
        raise DataError(
            f"{where}: {first_five(sorted(words))} look like splits inside the classes, and there are images in "
            f"{first_five(strange)} as well; sort them into the splits, or take every folder for a class with "
            f"-S data.group=path"
        )
    layout = Layout()
    for name, path in cut.items():
        if len(path) > 2:
            layout.places[name] = (words[path[1]], (path[0], *path[2:-1]))
        else:
            layout.classless.append(name)
    return layout


def _check_no_split_is_left(cut: dict[str, Parts], where: str) -> None:
    words = {part: split for path in cut.values() for part in path[:-1] if (split := split_of(part))}
    if len(set(words.values())) > 1:
        raise DataError(
            f"{where}: {first_five(sorted(words))} look like splits, and do not lie above the classes or right inside "
            f"each; move them there, or take every folder for a class with -S data.group=path"
        )


def check_classes(layout: Layout, where: str) -> None:
    """
    Raises:
        DataError: the same class names come in several folders, or elsewhere in another split: one class each, or one
            class in all?
    """
    groups: dict[str, set[Parts]] = defaultdict(set)
    for split, folders in layout.places.values():
        groups[split].add(folders)
    depth = {folders[-1]: folders for folders in groups["train"]}
    for split in ("val", "test"):
        for folders in sorted(groups[split] - groups["train"]):
            if other := depth.get(folders[-1]):
                raise DataError(
                    f"{where}: {'/'.join(other)} of train and {'/'.join(folders)} of {split} would be two classes; "
                    f"make them one with -S data.group=leaf, or keep both with -S data.group=path"
                )
    tops: dict[str, set[str]] = defaultdict(set)
    for _, folders in layout.places.values():
        if len(folders) > 1:
            tops["/".join(folders[:-1])].add(folders[-1])
    holders: dict[str, set[str]] = defaultdict(set)
    for top, names in tops.items():
        for name in names:
            holders[name].add(top)
    shared = sorted(name for name, where in holders.items() if len(where) > 1)
    if len(shared) > 1 and 2 * len(shared) >= len(holders):
        above = sorted({top.split("/")[0] for name in shared for top in holders[name]})
        raise DataError(
            f"{where}: the same class names ({first_five(shared)}) come in each of {first_five(above)}; say what a "
            f"class is: -S data.group=leaf takes {shared[0]} for one class wherever it lies, -S data.group=top each of "
            f"{first_five(above)}, -S data.group=path each folder by itself"
        )

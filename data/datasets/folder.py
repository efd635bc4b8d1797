"""`folder`: your own classes, a folder of class folders; the folder that holds an image is its group."""

from pathlib import Path

from data.datasets.source import Item, Source, tree_source
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name
from data.images.decode import Unusable

_PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def folder(path: Path, level: str) -> Source:
    """`path`: a folder or a .zip. `level`: `class`, the folders down to the image (`cats/black`), or `top`, the first.

    Where the first folders are named train, test (and val), they are the splits. Every visible file is an image to be:
    what cannot be decoded is rejected by name, also an image that lies in no class folder.

    Raises:
        DataError: no class folder with a file in it.
    """
    tree = open_tree(path)
    split = [name.split("/") for name in tree.names]
    tops = {parts[0] for parts in split if len(parts) > 1}
    has_parts = {"train", "test"} <= tops and tops <= set(_PARTS)
    depth = 2 if has_parts else 1
    files: list[tuple[Item, str]] = []
    loose: list[str] = []
    for name, parts in zip(tree.names, split, strict=True):
        if len(parts) <= depth:
            loose.append(name)
            continue
        group = "/".join(parts[depth - 1 : -1]) if level == "class" else parts[depth - 1]
        part = _PARTS[parts[0]] if has_parts else ""
        files.append((Item(id=unicode_name(name), group=unicode_name(group), part=part), name))
    if not files:
        raise DataError(
            f"{path}: no class folder with images in it; put the images of each class into a folder of its own"
        )
    if loose:
        tree = _without_class(tree, loose)
        # Listed, so that they are counted and named; they never get far enough to need a group.
        files += [(Item(id=unicode_name(name), group="(none)"), name) for name in loose]
    return tree_source(tree, files, level)


def _without_class(tree: Tree, loose: list[str]) -> Tree:
    outside = set(loose)
    reason = Unusable("classless", "lies in no class folder")
    return Tree(tree.names, lambda name: reason if name in outside else tree.read(name))

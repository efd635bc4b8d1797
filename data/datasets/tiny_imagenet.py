"""Tiny ImageNet: 200 classes of ImageNet at 64x64. Its val folder is the test here; its own test has no labels."""

from collections.abc import Callable
from pathlib import Path

from data.datasets.source import Item, Source, tree_source
from data.errors import DataError
from data.files.archives import open_zip
from data.images.decode import Unusable

_TOP = "tiny-imagenet-200"


def tiny_imagenet(archive: Path) -> Source:
    """Groups are wnids. Classes of which the archive holds no image are not there."""
    tree = open_zip(archive)
    known = set(_text(archive, tree.read, f"{_TOP}/wnids.txt").split())
    files: list[tuple[Item, str]] = []
    for name in tree.names:
        folders = name.split("/")  # tiny-imagenet-200/train/<wnid>/images/<file>.JPEG
        if len(folders) == 5 and folders[1] == "train" and folders[2] in known:
            files.append((Item(id=f"train/{folders[2]}/{folders[4]}", group=folders[2], part="train"), name))
    for line in _text(archive, tree.read, f"{_TOP}/val/val_annotations.txt").splitlines():
        file, wnid = line.split("\t")[:2]
        if wnid not in known:
            raise DataError(f"{archive}: val_annotations.txt names the class {wnid}, which is not in wnids.txt")
        files.append((Item(id=f"val/{file}", group=wnid, part="test"), f"{_TOP}/val/images/{file}"))
    names = set(tree.names)
    missing = [name for _, name in files if name not in names]
    if missing:
        raise DataError(f"{archive}: val_annotations.txt names {missing[0]}, which is not there")
    return tree_source(tree, files, "class", notes=("its val folder is the test; all classes are of ImageNet-1k",))


def _text(archive: Path, read: Callable[[str], bytes | Unusable], name: str) -> str:
    try:
        content = read(name)
    except KeyError:
        raise DataError(f"{archive}: no {name} inside; not in the published layout") from None
    if isinstance(content, Unusable):
        raise DataError(f"{archive}: {name}: {content}")
    return content.decode()

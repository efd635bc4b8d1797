"""Tiny ImageNet: 200 classes of ImageNet at 64x64. Its val folder is the test here; its own test has no labels."""

from pathlib import Path

from data.datasets.published import Published
from data.datasets.source import Item, Source
from data.errors import DataError

_TOP = "tiny-imagenet-200"


def tiny_imagenet(archive: Path) -> Source:
    """Groups are wnids. Classes of which the archive holds no image are not there."""
    found = Published([archive])
    known = {wnid for (wnid,) in found.words("wnids.txt", 1)}
    files: list[tuple[Item, str]] = []
    for name in found.names:
        folders = name.split("/")  # tiny-imagenet-200/train/<wnid>/images/<file>.JPEG
        if len(folders) == 5 and folders[1] == "train" and folders[2] in known:
            files.append((Item(id=f"train/{folders[2]}/{folders[4]}", group=folders[2], part="train"), name))
    for file, wnid, *_ in found.words("val_annotations.txt", 6):
        if wnid not in known:
            raise DataError(f"{archive}: val_annotations.txt names the class {wnid}, which is not in wnids.txt")
        files.append((Item(id=f"val/{file}", group=wnid, part="test"), f"{_TOP}/val/images/{file}"))
    return found.source(files, "class", notes=("its val folder is the test; all classes are of ImageNet-1k",))

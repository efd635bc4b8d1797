"""`folder`: a person's own classes, a folder (or .zip) of class folders, with splits or without."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from data.datasets.folder_layout import Layout, check_classes, read_layout
from data.datasets.image_names import is_no_image
from data.datasets.source import Item, Source, first_five, tree_source
from data.datasets.split_names import split_notes, split_of
from data.errors import DataError
from data.files.archives import Tree, open_tree, unicode_name
from data.images.decode import Unusable

LEVELS = ("class", "top", "leaf", "path")


def folder(path: Path, level: str = "class") -> Source:
    """`path`: a folder or a .zip. The folders that hold an image, down from the split, name its group.

    `level` says what a group is: `class`, all of these folders (`cats/black`); `top`, the outermost; `leaf`, the
    innermost; `path`, as `class`, but what is unclear is no error: folders that may be splits or classes are classes,
    and equal names in two places are two classes.
    Files whose names say that they are no images (.txt, .csv, ...) are left out, any other that cannot be decoded is
    rejected.

    Raises:
        DataError: fewer than two classes, or folders of which it is not clear whether they are splits or classes.
    """
    tree = open_tree(path)
    names = [name for name in tree.names if not is_no_image(name)]
    try:
        layout = read_layout(names, str(path))
    except DataError:
        if level != "path":
            raise
        layout = read_layout(names, str(path), splits=False)
    if level == "class":
        check_classes(layout, str(path))
    files = [
        (Item(id=unicode_name(name), group=unicode_name(_group(folders, level)), part=split), name)
        for name, (split, folders) in layout.places.items()
    ]
    _check_groups(path, tree, {item.group for item, _ in files})
    notes = [
        *_layout_notes(layout, [name for name in tree.names if is_no_image(name)]),
        *split_notes([item for item, _ in files]),
    ]
    if layout.classless:
        tree = _with_reasons(tree, layout.classless)
        # Listed, so that they are counted and named; they never get far enough to need a group.
        files += [(Item(id=unicode_name(name), group="(none)"), name) for name in layout.classless]
    return tree_source(tree, files, "class" if level == "path" else level, notes=tuple(notes))


def _group(folders: tuple[str, ...], level: str) -> str:
    return {"top": folders[0], "leaf": folders[-1]}.get(level, "/".join(folders))


def _layout_notes(layout: Layout, others: list[str]) -> list[str]:
    notes = []
    for top, names in layout.unlabelled.items():
        notes.append(f"{len(names):,} images of {top} lie in no class folder: left out")
    for top, names in layout.beside.items():
        notes.append(f"{len(names):,} images of {top}, which is no split, are left out")
    lists = [name for name in others if split_of(PurePosixPath(name).stem)]
    if lists and not any(split for split, _ in layout.places.values()):
        notes.append(f"{first_five(lists)} may list splits, and are not read: all images are split anew")
    if others:
        notes.append(f"{len(others):,} files that are no images by their names (.txt, .csv, ...) are left out")
    return notes


def _check_groups(path: Path, tree: Tree, groups: set[str]) -> None:
    if len(groups) > 1:
        return
    suffixes = {PurePosixPath(name).suffix.lower() for name in tree.names}
    remedy = "put the images of each class into a folder of its own"
    if not tree.names:
        remedy = "it is empty"
    elif ".parquet" in suffixes:
        remedy = "it holds .parquet files: use -S data.name=parquet"
    elif suffixes & {".csv", ".tsv"}:
        remedy += ", or, if its table names images and labels, use -S data.name=table"
    elif suffixes & {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"}:
        remedy = "it holds archives: unpack them, or name one .zip itself in data.path"
    found = f"only one class folder ({first_five(groups)})" if groups else "no class folder with images in it"
    raise DataError(f"{path}: {found}; {remedy}")


def _with_reasons(tree: Tree, classless: list[str]) -> Tree:
    """`tree`, in which the images in no class folder are unusable; a reason of the tree's own stays."""
    outside = set(classless)
    reason = Unusable("classless", "lies in no class folder")

    def read(name: str) -> bytes | Unusable:
        content = tree.read(name)
        return reason if name in outside and not isinstance(content, Unusable) else content

    return replace(tree, read=read)

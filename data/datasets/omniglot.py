"""Omniglot: 50 alphabets, 1,623 characters, 20 drawings of each (Lake, Salakhutdinov, Tenenbaum, Science 2015).

The 30 background alphabets are for training, the 20 evaluation alphabets for the test.
"""

from collections.abc import Mapping
from pathlib import Path

from data.datasets.source import Item, Source, tree_source
from data.errors import DataError
from data.files.archives import Tree, open_zip

FILES = {"train": "images_background.zip", "test": "images_evaluation.zip"}


def omniglot(archives: Mapping[str, Path], level: str) -> Source:
    """`level`: groups are alphabets or characters. Characters of one alphabet are a family."""
    files: list[tuple[Item, str]] = []
    trees: dict[str, Tree] = {}
    for part, archive in FILES.items():
        tree = open_zip(archives[archive])
        for name in tree.names:
            folders = name.split("/")
            if len(folders) != 4 or not name.endswith(".png"):
                raise DataError(f"{archives[archive]}: {name} is not <set>/<alphabet>/<character>/<drawing>.png")
            top, alphabet, character, drawing = folders
            group = alphabet if level == "alphabet" else f"{alphabet}/{character}"
            item_id = f"{top.removeprefix('images_')}/{alphabet}/{character}/{drawing}"
            files.append((Item(id=item_id, group=group, part=part, family=alphabet), name))
            trees[name] = tree
    both = Tree(list(trees), lambda name: trees[name].read(name))
    return tree_source(both, files, level)

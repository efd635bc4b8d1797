"""Omniglot: 50 alphabets, 1,623 characters, 20 drawings of each (Lake, Salakhutdinov, Tenenbaum, Science 2015).

The 30 background alphabets are for training, the 20 evaluation alphabets for the test.
"""

from collections.abc import Mapping
from pathlib import Path

from data.datasets.published import Published
from data.datasets.source import Item, Source
from data.errors import DataError

_PARTS = {"images_background": "train", "images_evaluation": "test"}


def omniglot(archives: Mapping[str, Path], level: str) -> Source:
    """`level`: groups are alphabets or characters. Characters of one alphabet are a family."""
    found = Published(list(archives.values()))
    files: list[tuple[Item, str]] = []
    for name in found.names:
        top, *folders = name.split("/")
        if top not in _PARTS or len(folders) != 3 or not name.endswith(".png"):
            raise DataError(f"{found.where}: {name} is not <set>/<alphabet>/<character>/<drawing>.png")
        alphabet, character, _ = folders
        group = alphabet if level == "alphabet" else f"{alphabet}/{character}"
        item_id = name.removeprefix("images_")
        files.append((Item(id=item_id, group=group, part=_PARTS[top], family=alphabet), name))
    return found.source(files, level)

"""Names of images in tables to files: relative, absolute, with `..`, file:// or backslashes, in any Unicode form."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from data.datasets.source import first_five
from data.datasets.split_names import split_of
from data.errors import DataError
from data.files.archives import Tree, read_file
from data.images.decode import Unusable

# What lies beside images in published folders. Anything else is an image to be, whatever its name.
_OTHER_FILES = re.compile(
    r"\.(txt|csv|tsv|jsonl?|xml|ya?ml|md|rst|pdf|docx?|xlsx?|py|ipynb|m|mat|np[yz]|pkl|h5|hdf5|parquet|arrow|db|sqlite|ini"
    r"|cfg|toml|log|sh|bat|url|lnk|zip|tar|t?gz|7z|rar|mp[34]|mov|avi|mkv|aae|wav)$"
)
_OTHER_NAMES = frozenset(("license", "licence", "readme", "notice", "copying", "citation", "changelog", "_ds_store"))


class ImageNames:
    """Finds the files of `tree` that a table names.

    A name counts from the table's folder, `base`, or is the end of one file's path: `1.jpg` finds `images/1.jpg` if no
    other folder has a `1.jpg`. Its suffix may be missing, and case may differ. An absolute name must end as a file of
    the tree does, with its folder; a name may start with the tree's own, `top`. With `outside`, a folder on disk, other
    files are found by their path from there.
    """

    def __init__(self, tree: Tree, where: str, *, top: str = "", base: str = "", outside: Path | None = None) -> None:
        self._where, self._top, self._base, self._outside = where, top, base, outside
        self._beyond: dict[str, Path] = {}  # files outside of the tree, by the name that the table gives them
        self._tree = tree
        self._paths: dict[str, list[str]] = defaultdict(list)  # whole path -> names in the tree
        for name in tree.names:
            if not is_no_image(name):
                self._paths[_key(name)].append(name)

    # The three ways to find a name that is not a whole path: only built if there is one.

    @cached_property
    def _ends(self) -> dict[str, list[str]]:
        """The end of a path -> names in the tree."""
        ends: dict[str, list[str]] = defaultdict(list)
        for path, names in self._paths.items():
            parts = path.split("/")
            for start in range(len(parts)):
                ends["/".join(parts[start:])] += names
        return ends

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        """The end of a path, without suffix -> names in the tree."""
        stems: dict[str, list[str]] = defaultdict(list)
        for end, names in self._ends.items():
            if "." in end.rsplit("/", 1)[-1]:
                stems[end.rsplit(".", 1)[0]] += names
        return stems

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """The end of a path, in lower case -> names in the tree."""
        folded: dict[str, list[str]] = defaultdict(list)
        for end, names in self._ends.items():
            folded[end.casefold()] += names
        return folded

    @property
    def tree(self) -> Tree:
        """The tree with the files that were found outside of it."""
        if not self._beyond:
            return self._tree
        beyond = self._beyond

        def read(name: str) -> bytes | Unusable:
            return read_file(beyond[name]) if name in beyond else self._tree.read(name)

        return replace(self._tree, names=[*self._tree.names, *beyond], read=read)

    def find_all(self, wanted: Sequence[str], *, split: str = "") -> list[str]:
        """The file of each name; of several, the one in a folder named after `split`.

        Raises:
            DataError: some are not there, or not in one place only.
        """
        found = {name: _in_split(self.find(name), split) for name in dict.fromkeys(wanted)}
        if missing := [name for name, files in found.items() if not files]:
            web = any(name.startswith(("http://", "https://")) for name in missing)
            remedy = "; download them first" if web else self._remedy(missing)
            raise DataError(f"{self._where}: names images that are not there: {first_five(missing)}{remedy}")
        if several := {name: files for name, files in found.items() if len(files) > 1}:
            some = first_five(f"{name} ({' or '.join(files[:2])})" for name, files in several.items())
            raise DataError(f"{self._where}: names images that are in several folders: {some}; name the folder too")
        return [found[name][0] for name in wanted]

    def find(self, name: str, *, whole: bool = False) -> list[str]:
        """The files that `name` may mean: one if all is well. With `whole`, its suffix must be there."""
        path = _normal(name)
        if self._base and (near := self._at(f"{self._base}/{path}")):
            return near
        as_it_is = self._paths.get(_key(name), [])  # a backslash may be part of a name
        return self._at(path) or as_it_is or self._by_end(path, whole) or self._on_disk(name)

    def _at(self, path: str) -> list[str]:
        """A file with just this path, from the top of the tree."""
        return self._paths.get(_key(_normal(path)), [])

    def _by_end(self, path: str, whole: bool) -> list[str]:
        key = _key(path)
        parts = [part for part in key.split("/") if part not in ("", "..", ".")]
        is_far = key.startswith(("/", "..")) or (":" in parts[0] if parts else False)
        if len(parts) > 1 and parts[0] == self._top and not self._ends.get("/".join(parts)):
            parts = parts[1:]
        for index in (self._ends, self._folded) if whole else (self._ends, self._stems, self._folded):
            if index is self._folded:
                parts = [part.casefold() for part in parts]
            if names := index.get("/".join(parts)):
                return names
            for start in range(1, len(parts) if is_far else 0):
                names = index.get("/".join(parts[start:]), [])
                if start < len(parts) - 1 and len(names) == 1:
                    return names
                if alone := [name for name in names if name.count("/") == len(parts) - start - 1]:
                    return alone
        return []

    def _on_disk(self, name: str) -> list[str]:
        if self._outside is None:
            return []
        path = self._outside / _normal(name)
        try:
            if not path.is_file():
                return []
        except (OSError, ValueError):
            return []
        self._beyond[name] = path
        return [name]

    def _remedy(self, missing: Iterable[str]) -> str:
        if any(_normal(name).startswith(("/", "..")) for name in missing):
            return "; name in data.path a folder that holds the table and the images"
        return "; names count from the folder of the table"


def _in_split(files: list[str], split: str) -> list[str]:
    if len(files) < 2 or not split:
        return files
    return [file for file in files if split in map(split_of, file.split("/")[:-1])] or files


def _normal(name: str) -> str:
    """With `/`, and without file:// and what `.` and `..` undo."""
    text = name.strip()
    if text.lower().startswith("file:"):
        text = url2pathname(urlsplit(text).path)
    elif not text.startswith(("http://", "https://")):
        text = text.replace("\\", "/")
    parts: list[str] = []
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] not in ("..", ""):
            parts.pop()
        elif part not in (".",) and (part or not parts):
            parts.append(part)
    return "/".join(parts)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def is_no_image(name: str) -> bool:
    """Whether a file is no image by its name."""
    file = name.casefold().rsplit("/", 1)[-1]
    return file in _OTHER_NAMES or _OTHER_FILES.search(file) is not None


def unnamed_note(tree: Tree, named: Iterable[str]) -> tuple[str, ...]:
    """A note on the images of `tree` that no table names."""
    count = sum(not is_no_image(name) for name in {*tree.names}.difference(named))
    return (f"{count:,} images that no table names are left out",) if count else ()


def folder_of(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent

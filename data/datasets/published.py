"""Published data sets in their own layout: files of known names in a folder or in archives, and lists of images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from data.datasets.source import Item, Source, first_five, tree_source
from data.errors import DataError, Unusable
from data.files.archives import Tree, open_tree, open_zip, read_file
from data.files.tar_archives import SUFFIXES, open_tar


class Published:
    """Files of a published data set, wherever below the given folder or archives they lie."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.where = paths[0] if len(paths) == 1 else paths[0].parent
        self._trees = list(_open_all(paths))
        self._place = {name: tree for tree in self._trees for name in tree.names}

    @property
    def names(self) -> Iterable[str]:
        """Of all files, archive by archive, each sorted."""
        return self._place

    def read(self, file: str) -> bytes:
        """The file of this name that lies nearest to the top."""
        names = [name for name in self._place if name.rsplit("/", 1)[-1] == file]
        if not names:
            raise DataError(f"{self.where}: no {file} inside; not in the published layout")
        name = min(names, key=lambda name: (name.count("/"), name))
        content = self._place[name].read(name)
        if isinstance(content, Unusable):
            raise DataError(f"{self.where}: {file}: {content}")
        return content

    def words(self, file: str, count: int, *, skip: int = 0) -> Iterable[list[str]]:
        """The words of each line of a text file, which has `count` of them; the first `skip` lines are no data."""
        for number, line in enumerate(self.read(file).decode("utf-8-sig", "replace").splitlines(), start=1):
            words = line.split()
            if number > skip and words:
                if len(words) != count:
                    raise DataError(f"{self.where}: {file}: line {number} has {len(words)} words, not {count}")
                yield words

    def number(self, file: str, word: str) -> int:
        if not word.isdigit():
            raise DataError(f"{self.where}: {file}: '{word}' is no number")
        return int(word)

    def source(self, files: Sequence[tuple[Item, str]], level: str, *, notes: tuple[str, ...] = ()) -> Source:
        """
        Raises:
            DataError: a listed image is not there.
        """
        top = self._find_top(files[0][1]) if files else ""
        placed = [(item, top + name) for item, name in files]
        missing = [name.removeprefix(top) for _, name in placed if name not in self._place]
        if missing or not files:
            raise DataError(f"{self.where}: its lists name images that are not there: {first_five(missing) or 'none'}")
        place = self._place
        return tree_source(Tree(sorted(place), lambda name: place[name].read(name)), placed, level, notes=notes)

    def _find_top(self, name: str) -> str:
        ends = [known for known in self._place if known == name or known.endswith(f"/{name}")]
        return min(ends, key=len).removesuffix(name) if ends else ""


def _open_all(paths: Sequence[Path]) -> Iterable[Tree]:
    """Folders, archives, and archives that lie in the folders; other files by themselves."""
    for path in paths:
        if path.is_dir():
            tree = open_tree(path)
            yield tree
            inner = [path / name for name in tree.names if name.lower().endswith((".zip", *SUFFIXES))]
            yield from map(_open_archive, inner)
        elif path.name.lower().endswith((".zip", *SUFFIXES)):
            yield _open_archive(path)
        elif path.exists():
            yield Tree([path.name], lambda name, path=path: read_file(path))
        else:
            raise DataError(f"{path}: there is no such folder or file")


def _open_archive(path: Path) -> Tree:
    return open_zip(path) if path.suffix.lower() == ".zip" else open_tar(path)

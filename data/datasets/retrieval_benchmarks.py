"""The benchmarks of metric learning, in their published layouts and with their class-disjoint splits.

CUB-200-2011 (Wah et al., 2011) and Cars-196 (Krause et al., 2013): the first half of the classes trains, the second is
tested. Stanford Online Products (Oh Song et al., CVPR 2016): its own lists. In-Shop Clothes Retrieval (Liu et al.,
DeepFashion, CVPR 2016): its own lists, with queries and a gallery. Protocol: Musgrave, Belongie, Lim, A Metric Learning
Reality Check (ECCV 2020).
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from data.datasets.source import Item, Source, first_five, tree_source
from data.errors import DataError, Unusable
from data.files.archives import Tree, open_tree, open_zip, read_file
from data.files.tar_archives import SUFFIXES, open_tar

CUB_CLASSES, CARS_CLASSES = 200, 196


def cub(paths: Sequence[Path]) -> Source:
    """`CUB_200_2011/` with images.txt, image_class_labels.txt and images/."""
    found = _Published(paths)
    images = dict(found.words("images.txt", 2))
    files = []
    for number, label in found.words("image_class_labels.txt", 2):
        name = images.get(number)
        if name is None:
            raise DataError(f"{found.where}: image_class_labels.txt names image {number}, and images.txt does not")
        part = "train" if found.number("image_class_labels.txt", label) <= CUB_CLASSES // 2 else "test"
        files.append((Item(id=name, group=name.split("/")[0], part=part), f"images/{name}"))
    return found.source(files, "class")


def cars(paths: Sequence[Path]) -> Source:
    """cars_annos.mat and `car_ims/` (or car_ims.tgz), as published for both of its splits together."""
    found = _Published(paths)
    try:
        raw = loadmat(io.BytesIO(found.read("cars_annos.mat")), squeeze_me=True)
        names = [str(name) for name in raw["class_names"]]
        entries = [(str(one["relative_im_path"]), int(one["class"])) for one in raw["annotations"]]
        files = [
            (
                Item(id=name, group=names[label - 1], part="train" if label <= CARS_CLASSES // 2 else "test"),
                f"car_ims/{name.rsplit('/', 1)[-1]}",
            )
            for name, label in entries
        ]
    except (KeyError, ValueError, IndexError, TypeError, MatReadError) as error:
        raise DataError(f"{found.where}: cars_annos.mat: not in the published layout ({error})") from None
    return found.source(files, "class")


def online_products(paths: Sequence[Path]) -> Source:
    """`Stanford_Online_Products/` with Ebay_train.txt, Ebay_test.txt and the images that they list."""
    found = _Published(paths)
    files = [
        (Item(id=name, group=product, part=part), name)
        for part in ("train", "test")
        for _, product, _, name in found.words(f"Ebay_{part}.txt", 4, skip=1)
    ]
    return found.source(files, "product")


def in_shop(paths: Sequence[Path]) -> Source:
    """list_eval_partition.txt and `img/` (or img.zip). Queries are searched in the gallery, not among themselves."""
    found = _Published(paths)
    kinds = {"train": ("train", ""), "query": ("test", "left"), "gallery": ("test", "right")}
    files = []
    for name, product, status in found.words("list_eval_partition.txt", 3, skip=2):
        if status not in kinds:
            raise DataError(
                f"{found.where}: list_eval_partition.txt: {name} is '{status}', not train, query or gallery"
            )
        part, role = kinds[status]
        files.append((Item(id=name, group=product, part=part, role=role), name))
    return found.source(files, "product")


class _Published:
    """Files of a published data set, wherever below the given folder or archives they lie."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.where = paths[0] if len(paths) == 1 else paths[0].parent
        self._trees = list(_open_all(paths))
        self._place = {name: tree for tree in self._trees for name in tree.names}

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
        for number, line in enumerate(self.read(file).decode("utf-8-sig").splitlines(), start=1):
            words = line.split()
            if number > skip and words:
                if len(words) != count:
                    raise DataError(f"{self.where}: {file}: line {number} has {len(words)} words, not {count}")
                yield words

    def number(self, file: str, word: str) -> int:
        if not word.isdigit():
            raise DataError(f"{self.where}: {file}: '{word}' is no number")
        return int(word)

    def source(self, files: Sequence[tuple[Item, str]], level: str) -> Source:
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
        return tree_source(Tree(sorted(place), lambda name: place[name].read(name)), placed, level)

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

"""A source over the files of a tree."""

from collections.abc import Iterable, Iterator, Sequence

from data.datasets.source import Item, Source
from data.files.archives import Tree
from data.images.decode import Unusable


def tree_source(
    tree: Tree,
    files: Sequence[tuple[Item, str]],
    group_level: str,
    *,
    submit: tuple[tuple[int, tuple[int, ...]], ...] = (),
    notes: tuple[str, ...] = (),
) -> Source:
    """`files`: each item with its name in `tree`."""
    names = [name for _, name in files]

    def read(indices: Iterable[int]) -> Iterator[bytes | Unusable]:
        for index in indices:
            yield tree.read(names[index])

    return Source(items=[item for item, _ in files], read=read, group_level=group_level, submit=submit, notes=notes)

"""What a data set's reader returns: the list of its images, and a function that reads their bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from data.files.archives import Tree
from data.images.decode import Unusable


@dataclass(frozen=True, slots=True)
class Item:
    """One image before it is read.

    `part` is the split that its publisher gave it: `train`, `val` or `test`, `submit` if the truth is not published, or
    "" if the split is ours to draw. Groups of one `family` are variants of one idea and are assigned to one split
    together; "" is a family of its own.
    """

    id: str
    group: str
    role: str = ""
    part: str = ""
    family: str = ""


Read = Callable[[Iterable[int]], Iterator[bytes | Unusable]]


@dataclass(frozen=True)
class Source:
    """A data set to prepare.

    `read(indices)` yields the encoded bytes of each of these items, or the reason why there are none, in the order of
    `indices`. It may be called more than once and must then yield the same.
    """

    items: Sequence[Item]
    read: Read
    group_level: str  # what a group is: "pair", "class", "character", ...
    submit: tuple[tuple[int, tuple[int, ...]], ...] = ()  # queries without known truth, and their candidates
    notes: tuple[str, ...] = ()
    pairs: tuple[tuple[int, int, bool], ...] = ()  # (item, item, do they match) that the data set itself verifies

    @property
    def has_roles(self) -> bool:
        return bool(self.items) and all(item.role for item in self.items)


def tree_source(
    tree: Tree,
    files: Sequence[tuple[Item, str]],
    group_level: str,
    *,
    submit: tuple[tuple[int, tuple[int, ...]], ...] = (),
    notes: tuple[str, ...] = (),
    pairs: tuple[tuple[int, int, bool], ...] = (),
) -> Source:
    """A source over the files of a folder or zip archive. `files`: each item with its name in `tree`."""
    names = [name for _, name in files]

    def read(indices: Iterable[int]) -> Iterator[bytes | Unusable]:
        for index in indices:
            yield tree.read(names[index])

    items = [item for item, _ in files]
    every = (*tree.notes, *notes)
    return Source(items=items, read=read, group_level=group_level, submit=submit, notes=every, pairs=pairs)


def shown(name: str) -> str:
    """A name for one line of text: line breaks and other unprintable characters are escaped."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def first_five(names: Iterable[str]) -> str:
    """`a, b, c, d, e and 7 more`."""
    every = [shown(name) for name in names]
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")

"""What a data set's reader hands over: the list of its images, and how to get their bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from data.images.decode import Unusable


@dataclass(frozen=True, slots=True)
class Item:
    """One image before it is read.

    `part` is the split that its publisher gave it: `train`, `val` or `test`, `submit` where the truth is not known, or
    "" when the split is ours to draw. Groups of one `family` are variants of one idea and never straddle splits; "" is
    a family of its own.
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

    `read(indices)` yields, for each index into `items` and in the order asked for, the encoded bytes or the reason why
    there are none. It may be called more than once and must then yield the same.
    """

    items: Sequence[Item]
    read: Read
    group_level: str  # what a group is: "pair", "class", "character", ...
    submit: tuple[tuple[int, tuple[int, ...]], ...] = ()  # queries without known truth, and their candidates
    notes: tuple[str, ...] = ()

    @property
    def has_roles(self) -> bool:
        return bool(self.items) and bool(self.items[0].role)


def shown(name: str) -> str:
    """A name for one line of text: line breaks and other odd characters are escaped."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def first_five(names: Iterable[str]) -> str:
    """`a, b, c, d, e and 7 more`."""
    every = [shown(name) for name in names]
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")

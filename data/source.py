"""What a data set's reader hands over: the list of its images, and how to get their bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from data.decode import Unusable


@dataclass(frozen=True, slots=True)
class Item:
    """One image before it is read.

    `part` is the split its publisher gave it ("train", "test"), or "" when the split is ours to draw. Groups with the
    same `family` are variants of one idea and never straddle splits; "" is a family of its own.
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
    notes: tuple[str, ...] = ()

"""The images of a source, checked one by one: what is kept of the usable ones, and why the others are not."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from data.datasets.source import Item, Source
from data.preparation.check import Checked, check_all
from data.tables.protocol import Rejected


class Thumbnails:
    """Thumbnails in a file, read back by number."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("q", [0])

    def append(self, content: bytes) -> int:
        self._file.write(content)
        self._ends.append(self._ends[-1] + len(content))
        return len(self._ends) - 2

    def read(self, number: int) -> bytes:
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number])


@dataclass
class CheckedImages:
    """The usable images, in row order, and those that were rejected."""

    thumbnails: Thumbnails
    index: list[int] = field(default_factory=list)  # into the source's items
    sha256: list[str] = field(default_factory=list)
    dhash: list[bytes] = field(default_factory=list)
    thumb: list[int] = field(default_factory=list)  # numbers of thumbnails
    rejected: list[Rejected] = field(default_factory=list)
    animated: int = 0

    def leave_out_partners(self, items: Sequence[Item]) -> None:
        """An image whose partner was rejected is rejected too."""
        roles: dict[str, set[str]] = defaultdict(set)
        for index in self.index:
            roles[items[index].group].add(items[index].role)
        whole = []
        for place, index in enumerate(self.index):
            if items[index].part == "submit" or roles[items[index].group] == {"left", "right"}:
                whole.append(place)
            else:
                self.rejected.append(Rejected(items[index].id, "partner", "its partner cannot be used"))
        for name in ("index", "sha256", "dhash", "thumb"):
            setattr(self, name, [getattr(self, name)[place] for place in whole])


def check_images(
    source: Source, order: Sequence[int], thumbnails: Thumbnails, progress: Callable[[int], None]
) -> CheckedImages:
    """Check the items of `source` at the indices `order`; their thumbnails go into `thumbnails`."""
    found = CheckedImages(thumbnails)
    for index, result in zip(order, check_all(source.read(order), len(order)), strict=True):
        progress(1)
        if isinstance(result, Checked):
            found.index.append(index)
            found.sha256.append(result.sha256)
            found.dhash.append(result.dhash)
            found.thumb.append(thumbnails.append(result.thumb))
            found.animated += result.animated
        else:
            found.rejected.append(Rejected(source.items[index].id, result.reason, result.detail))
    return found

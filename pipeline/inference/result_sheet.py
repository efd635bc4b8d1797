"""A contact sheet: each query beside its nearest images, as a page of one file."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.images.decode import decode
from data.preparation.check import shrink, thumb
from pipeline.inference.data_urls import data_url
from pipeline.templates import render


@dataclass(frozen=True)
class SheetItem:
    """An image of the sheet; `thumb` is a JPEG of at most 72 pixels a side."""

    name: str
    thumb: bytes
    alike: bool = False
    numbers: str = ""  # similarity and probability
    words: tuple[str, ...] = ()  # its group, whether it is the query itself

    @property
    def src(self) -> str:
        return data_url(self.thumb)


@dataclass(frozen=True)
class SheetRow:
    query: SheetItem
    nearest: Sequence[SheetItem]


def thumbnail(content: bytes) -> bytes:
    """Any encoded image -> its thumbnail."""
    return thumb(shrink(decode(content)))


def draw_html(rows: Sequence[SheetRow], *, title: str, notes: Sequence[str]) -> bytes:
    """One file with everything in it; names are escaped, so that none is taken for markup."""
    page = render("sheet.html", rows=rows, title=title, notes=notes)
    return page.encode("utf-8", "backslashreplace")  # names may hold bytes that are no UTF-8

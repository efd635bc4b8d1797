"""A contact sheet of a search: each query beside its nearest images, as a page of one file or as a PNG."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from PIL import Image, ImageDraw, ImageFont

from data.images.decode import decode
from data.preparation.check import shrink, thumb
from pipeline.report.contact_sheet import CELL, GAP, INK, PAD, PAPER, QUIET, RULE, paste, wrapped
from pipeline.report.examples import Picture

TEMPLATES = Path(__file__).parents[1] / "templates"
LINE = 16  # pixels a line of a caption
ACROSS = 10  # neighbours in a line of the PNG


@dataclass(frozen=True)
class Shown:
    """An image of the sheet; `thumb` is a JPEG of at most 72 pixels a side."""

    name: str
    thumb: bytes
    alike: bool = False
    numbers: str = ""  # similarity and probability
    words: tuple[str, ...] = ()  # its group, whether it is the query itself

    @property
    def picture(self) -> str:
        return f"data:image/jpeg;base64,{base64.b64encode(self.thumb).decode()}"


@dataclass(frozen=True)
class SheetRow:
    query: Shown
    nearest: Sequence[Shown]


def small(content: bytes) -> bytes:
    """Any encoded image -> its thumbnail."""
    return thumb(shrink(decode(content)))


def draw_html(rows: Sequence[SheetRow], *, title: str, notes: Sequence[str]) -> bytes:
    """One file with everything in it; names are escaped, so that none is taken for markup."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    page = environment.get_template("sheet.html").render(rows=rows, title=title, notes=notes)
    return page.encode("utf-8", "backslashreplace")  # names may hold bytes that are no UTF-8


def draw_png(rows: Sequence[SheetRow], *, title: str, notes: Sequence[str]) -> bytes:
    """The same as a picture; what is alike has a green frame."""
    fonts = {points: ImageFont.load_default(points) for points in (11, 13, 22)}
    longest = max(len(row.nearest) for row in rows)
    width = 2 * PAD + CELL + 3 * GAP + min(longest, ACROSS) * (CELL + GAP)
    words = [line for note in notes for line in wrapped(note, fonts[13], width - 2 * PAD)]
    cell = CELL + 3 * LINE + GAP
    heights = [-(-len(row.nearest) // ACROSS) * cell + GAP for row in rows]
    sheet = Image.new("RGB", (width, 2 * PAD + 34 + 18 * len(words) + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((PAD, PAD - 8), title, fill=INK, font=fonts[22])
    for line, text in enumerate(words):
        draw.text((PAD, PAD + 26 + 18 * line), text, fill=QUIET, font=fonts[13])
    top = PAD + 34 + 18 * len(words)
    for row, height in zip(rows, heights, strict=True):
        draw.line((PAD, top - GAP // 2, width - PAD, top - GAP // 2), fill=RULE)
        _cell(sheet, draw, row.query, fonts[11], PAD, top)
        for place, one in enumerate(row.nearest):
            left = PAD + CELL + 3 * GAP + place % ACROSS * (CELL + GAP)
            _cell(sheet, draw, one, fonts[11], left, top + place // ACROSS * cell)
        top += height
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, one: Shown, font: ImageFont.FreeTypeFont, left: int, top: int
) -> None:
    paste(sheet, draw, Picture(0, one.thumb, match=one.alike), left, top)
    lines = [one.numbers] if one.numbers else []
    for line, text in enumerate([*lines, one.name, *one.words][:3]):
        colour = INK if line < 1 else QUIET
        draw.text((left, top + CELL + 2 + line * LINE), _cut(text, font), fill=colour, font=font)


def _cut(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The end of a name, which tells images of one folder apart, as far as it fits into a cell."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    if font.getlength(text) <= CELL:
        return text
    while text and font.getlength(f"…{text}") > CELL:
        text = text[1:]
    return f"…{text}"

"""A picture of examples: each query, its best five by head and by baseline; the match is framed."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from pipeline.report.examples import NEAREST, Example, Thumbnail

CELL, GAP, PAD, FRAME = 88, 10, 28, 4
INK, QUIET, RULE, PAPER, MATCH = "#1c1e21", "#6b7280", "#e5e7eb", "#ffffff", "#16a34a"
CAPTION = 20  # height of the line under a query
WIDTH = 2 * PAD + CELL + 2 * (4 * GAP + NEAREST * (CELL + GAP)) - 2 * GAP
COLUMNS = (PAD + CELL + 4 * GAP, PAD + CELL + 8 * GAP + NEAREST * (CELL + GAP) - GAP)


@dataclass(frozen=True)
class GallerySection:
    title: str
    examples: Sequence[Example]
    none: str  # said when there are no examples


def draw_gallery(sections: Sequence[GallerySection], *, title: str, footer: str) -> bytes:
    """PNG. `footer` names the pictures' licences; it must be there wherever they are shown."""
    fonts = {size: ImageFont.load_default(size) for size in (13, 15, 22)}
    notes = wrapped(footer, fonts[13], WIDTH - 2 * PAD)
    height = 2 * PAD + 34 + 18 * len(notes)
    height += sum(62 + max(1, len(section.examples)) * (CELL + CAPTION + GAP) + GAP for section in sections)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((PAD, PAD - 8), title, fill=INK, font=fonts[22])
    top = PAD + 34
    for section in sections:
        draw.line((PAD, top, WIDTH - PAD, top), fill=RULE)
        draw.text((PAD, top + 10), section.title, fill=INK, font=fonts[15])
        for left, name in zip(
            (PAD, *COLUMNS), ("query", "best five by the head", "best five by the baseline"), strict=True
        ):
            draw.text((left, top + 36), name, fill=QUIET, font=fonts[13])
        top += 62
        if not section.examples:
            draw.text((PAD, top), section.none, fill=QUIET, font=fonts[15])
            top += CELL + CAPTION + GAP
        for example in section.examples:
            paste(sheet, draw, example.query, PAD, top)
            draw.text(
                (PAD, top + CELL + 3), f"rank {example.rank}, was {example.baseline_rank}", fill=QUIET, font=fonts[13]
            )
            for left, nearest in zip(COLUMNS, (example.nearest, example.baseline_nearest), strict=True):
                for place, picture in enumerate(nearest):
                    paste(sheet, draw, picture, left + place * (CELL + GAP), top)
            top += CELL + CAPTION + GAP
        top += GAP
    for line, text in enumerate(notes):
        draw.text((PAD, top + 8 + 18 * line), text, fill=QUIET, font=fonts[13])
    stream = io.BytesIO()
    sheet.save(stream, "PNG", compress_level=3)  # 7 % larger, in half of the time
    return stream.getvalue()


def paste(sheet: Image.Image, draw: ImageDraw.ImageDraw, picture: Thumbnail, left: int, top: int) -> None:
    """A thumbnail, as large as fits inside the frame; the frame is thick and green around a match."""
    image = Image.open(io.BytesIO(picture.content)).convert("RGB")
    room = CELL - 2 * FRAME
    scale = room / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(image, (left + (CELL - size[0]) // 2, top + (CELL - size[1]) // 2))
    colour, width = (MATCH, FRAME - 1) if picture.match else (RULE, 1)
    draw.rounded_rectangle((left, top, left + CELL - 1, top + CELL - 1), radius=6, outline=colour, width=width)


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines

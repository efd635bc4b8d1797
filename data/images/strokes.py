"""What a person draws, as a picture of the kind that a data set holds: its ink, its pen, its size and place."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from data.errors import DataError

Stroke = Sequence[tuple[float, float]]  # points (x, y) from one touch of the pen to its lift, in 0..1, y down
MAX_POINTS = 20_000  # of a drawing: minutes of drawing
FINE = 8  # the drawing is made this many times as large, then averaged down


@dataclass(frozen=True)
class Paper:
    """How a data set's pictures of pen strokes are made. Lengths are pixels."""

    side: int
    pen: float  # its width
    white_on_black: bool = False
    grey: bool = True  # edges are grey; else every pixel is ink or paper
    box: int | None = None  # the longer side of the ink, whose centre of mass is put in the middle; none: as drawn


# Pens measured on 600 pictures of each set (twice the ink's area by the length of its outline): 2.4 and 4.7 pixels.
PAPERS = {
    # "size normalized to fit in a 20x20 pixel box ... center of mass ... at the center of the 28x28 field" (LeCun)
    "mnist": Paper(side=28, pen=2.4, white_on_black=True, box=20),
    "omniglot": Paper(side=105, pen=5.4, grey=False),
}
PLAIN = Paper(side=224, pen=7)  # for data sets that hold no drawings


def draw_strokes(strokes: Sequence[Stroke], paper: Paper) -> Image.Image:
    """An RGB picture of `paper.side` squared."""
    lines = [np.asarray(stroke, float).reshape(-1, 2) * paper.side for stroke in strokes if len(stroke)]
    if paper.box is not None and lines:
        lines = _boxed(lines, paper, paper.box)
    grey = Image.fromarray(np.rint(255 * (1 - _ink(lines, paper))).astype(np.uint8))
    if not paper.grey:
        grey = grey.point([0] * 128 + [255] * 128)
    if paper.white_on_black:
        grey = grey.point(range(255, -1, -1))
    return grey.convert("RGB")


def parse_strokes(value: Any) -> list[list[tuple[float, float]]]:
    """Strokes as a page sends them, a list of lists of [x, y]; points beyond the canvas are put on its edge.

    Raises:
        DataError: anything else.
    """
    wrong = DataError("this is no drawing: a list of strokes, each a list of points [x, y], was expected")
    if not isinstance(value, list) or not all(isinstance(stroke, list) for stroke in value):
        raise wrong
    if sum(len(stroke) for stroke in value) > MAX_POINTS:
        raise DataError(f"the drawing has more than {MAX_POINTS:,} points; clear the canvas and draw less")
    strokes = []
    for stroke in value:
        points = []
        for point in stroke:
            if not isinstance(point, list) or len(point) != 2:
                raise wrong
            x, y = point
            if not all(type(number) in (int, float) and isfinite(number) for number in (x, y)):
                raise wrong
            points.append((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))
        if points:
            strokes.append(points)
    return strokes


def _boxed(lines: list[np.ndarray], paper: Paper, box: int) -> list[np.ndarray]:
    """Scaled so that the ink's longer side is `box` pixels, and moved so that its centre of mass is in the middle."""
    points = np.concatenate(lines)
    low, high = points.min(0), points.max(0)
    extent = (high - low).max()
    scale = (box - paper.pen) / extent if extent > 0 else 1.0  # a dot stays a dot
    middle = paper.side / 2
    lines = [(line - (low + high) / 2) * scale + middle for line in lines]
    mass = _ink(lines, paper)
    places = np.arange(paper.side) + 0.5
    centre = np.array([(mass.sum(axis) * places).sum() for axis in (0, 1)]) / mass.sum()
    # MNIST's middle is that of pixel 14 of 0..27. The ink never leaves the field.
    room = (paper.side - box) / 2
    return [line + (middle + 0.5 - centre).clip(-room, room) for line in lines]


def _ink(lines: Sequence[np.ndarray], paper: Paper) -> np.ndarray:
    """(side, side) in 0..1: the share of each pixel that the pen covered."""
    fine = Image.new("L", (paper.side * FINE, paper.side * FINE))
    draw, radius = ImageDraw.Draw(fine), paper.pen * FINE / 2
    for line in lines:
        points = [(float(x), float(y)) for x, y in line * FINE]
        if len(points) > 1:
            draw.line(points, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    cells = np.asarray(fine, np.float64).reshape(paper.side, FINE, paper.side, FINE)
    return cells.mean((1, 3)) / 255

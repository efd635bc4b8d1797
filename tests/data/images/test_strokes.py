"""Drawn strokes must look as the data set's own pictures do: that is measured, on both."""

import math
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.datasets.mnist import read_idx
from data.errors import DataError
from data.images.strokes import MAX_POINTS, PAPERS, PLAIN, Paper, draw_strokes, parse_strokes

MIRROR = Path(__file__).parents[4] / "shared/datasets"
FOUR = [[(0.3, 0.2), (0.25, 0.55), (0.7, 0.55)], [(0.6, 0.15), (0.6, 0.9)]]
CIRCLE = [[(0.5 + 0.3 * math.cos(t / 10), 0.5 + 0.3 * math.sin(t / 10)) for t in range(64)]]
DRAWINGS = [FOUR, CIRCLE, [[(0.1, 0.1), (0.12, 0.11)]], [[(0.5, 0.05), (0.5, 0.95)]], [[(0, 0), (1, 1)], [(1, 0)]]]


def ink(picture: Image.Image, paper: Paper) -> np.ndarray:
    grey = np.asarray(picture.convert("L"), float) / 255
    return grey if paper.white_on_black else 1 - grey


def pen_width(ink: np.ndarray) -> float:
    """Twice the area by the length of the outline (the total variation), as of a long stroke."""
    padded = np.pad(ink, 1)
    along, across = np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]
    return 2 * ink.sum() / np.hypot(along, across).sum()


def centre(ink: np.ndarray) -> np.ndarray:
    places = np.arange(len(ink))
    return np.array([(ink.sum(axis) * places).sum() for axis in (0, 1)]) / ink.sum()


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_mnist_fills_a_box_of_20_around_its_centre_of_mass(drawing, scale):
    paper = PAPERS["mnist"]
    moved = [[(0.05 + scale * x * 0.9, 0.05 + scale * y * 0.9) for x, y in stroke] for stroke in drawing]
    picture = draw_strokes(moved, paper)
    assert picture.size == (28, 28) and picture.mode == "RGB"
    found = ink(picture, paper)
    rows, columns = np.nonzero(found > 0.1)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20, 21)
    np.testing.assert_allclose(centre(found), 14, atol=0.5)
    assert found[0, 0] == 0 and found.max() > 0.9


def test_mnist_does_not_depend_on_where_and_how_large_one_draws():
    small = [[(0.7 + 0.2 * x, 0.1 + 0.2 * y) for x, y in stroke] for stroke in FOUR]
    a, b = (np.asarray(draw_strokes(drawing, PAPERS["mnist"]), float) for drawing in (FOUR, small))
    assert np.abs(a - b).mean() < 2


def test_omniglot_is_as_drawn_in_black_and_white():
    picture = draw_strokes([[(0.1, 0.2), (0.1, 0.8)]], PAPERS["omniglot"])
    levels = np.unique(np.asarray(picture))
    assert picture.size == (105, 105) and levels.tolist() == [0, 255]
    rows, columns = np.nonzero(ink(picture, PAPERS["omniglot"]))
    assert abs(columns.mean() - 10) < 1 and abs(rows.mean() - 52) < 1
    assert 62 <= np.ptp(rows) <= 70 and np.ptp(columns) + 1 in (5, 6)


@pytest.mark.parametrize("paper", [*PAPERS.values(), PLAIN])
def test_a_dot_and_nothing_at_all(paper):
    assert ink(draw_strokes([], paper), paper).sum() == 0
    assert ink(draw_strokes([[]], paper), paper).sum() == 0
    dot = ink(draw_strokes([[(0.5, 0.5)]], paper), paper)
    assert 0.5 < dot.sum() / (math.pi * paper.pen**2 / 4) < 1.5


def test_a_drawing_at_the_edge_stays_on_the_paper():
    assert ink(draw_strokes([[(0, 0), (0, 1), (1, 1)]], PLAIN), PLAIN).sum() > 0


@pytest.mark.skipif(not (MIRROR / "mnist").is_dir(), reason="no mirror of the data sets")
def test_pens_are_as_wide_as_mnists_writers_had_them():
    real = read_idx(MIRROR / "mnist/t10k-images-idx3-ubyte.gz")[:300] / 255
    drawn = [pen_width(ink(draw_strokes(d, PAPERS["mnist"]), PAPERS["mnist"])) for d in (FOUR, CIRCLE)]
    assert np.mean(drawn) == pytest.approx(np.median([pen_width(one) for one in real]), rel=0.15)


@pytest.mark.skipif(not (MIRROR / "omniglot").is_dir(), reason="no mirror of the data sets")
def test_pens_are_as_wide_as_omniglots():
    paper, archive = PAPERS["omniglot"], next((MIRROR / "omniglot").glob("*.zip"))
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name.endswith(".png")][::400]
        real = [ink(Image.open(BytesIO(file.read(name))), paper) for name in names]
    drawn = [pen_width(ink(draw_strokes(d, paper), paper)) for d in (FOUR, CIRCLE)]
    assert np.mean(drawn) == pytest.approx(np.median([pen_width(one) for one in real]), rel=0.15)


def test_what_a_page_sends_is_read():
    assert parse_strokes([[[0.5, 1], [2, -3]], []]) == [[(0.5, 1), (1.0, 0.0)]]
    assert parse_strokes([]) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        {},
        [1],
        [[1]],
        [[[1]]],
        [[[1, 2, 3]]],
        [[["1", 2]]],
        [[[math.nan, 0]]],
        [[[0, math.inf]]],
        [[[True, 0]]],
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(DataError, match=r"^this is no drawing: a list of strokes, each a list of points \[x, y\]"):
        parse_strokes(value)


def test_endless_drawings_are_refused():
    with pytest.raises(DataError, match=r"^the drawing has more than 20,000 points; clear the canvas and draw less$"):
        parse_strokes([[[0, 0]] * MAX_POINTS, [[0, 0]]])

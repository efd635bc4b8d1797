"""The pieces of HTML: what they say, and that no name of a file can say more."""

import re

import numpy as np
import pytest

from heads.calibration import Calibration
from pipeline.demo.html import GalleryItem, message, percent, picture_grid, scale, similarity_meter
from pipeline.inference.predictor import Comparison

NASTY = '<img src=x onerror="alert(1)">&\'"'


class Trained:
    def __init__(self, *, embeds: bool = True, distance: str = "cosine", slope: float = 6.0) -> None:
        self.embeds, self.distance = embeds, distance
        self.calibration = Calibration(threshold=0.5, slope=slope, intercept=-3.0)


class Head:
    def __init__(self, **kind) -> None:
        self.trained = Trained(**kind)


def comparison(similarity: float, probability: float = 0.8) -> Comparison:
    return Comparison(np.float32(similarity), np.float64(probability), np.bool_(similarity >= 0.5), 0.5)


def test_names_cannot_be_markup():
    for html in (message(NASTY), picture_grid([GalleryItem(1, b"", NASTY, NASTY)])):
        assert "<img src=x" not in html and "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in html


def test_a_card_says_row_score_and_group():
    html = picture_grid(
        [GalleryItem(7, b"\xff\xd8", "digit 7", "seven", similarity=0.5, probability=0.25, same=True)], threshold=0.4
    )
    assert 'data-row="7"' in html and ">0.500 <small>25 %<" in html and ">seven<" in html
    assert "la-same" in html and "data:image/jpeg;base64,/9g=" in html
    assert "la-same" not in picture_grid([GalleryItem(7, b"", "", "", same=False)])


def test_bars_differ_and_carry_the_threshold():
    items = [GalleryItem(i, b"", "", "", similarity=0.90 + i / 100, probability=0.99) for i in range(4)]
    html = picture_grid(items, threshold=0.92)
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", html)]
    assert widths == sorted(widths) and widths[0] < 15 and widths[-1] > 90
    assert {float(left) for left in re.findall(r"left:([\d.]+)%", html)} == {widths[2]}


@pytest.mark.parametrize(("similarity", "at", "word"), [(1, 100, "Alike"), (-1, 0, "Different"), (0.5, 75, "Alike")])
def test_a_meter_of_a_cosine(similarity, at, word):
    html = similarity_meter(Head(), comparison(similarity))
    assert f"<strong>{word}</strong>" in html and f'class="la-at" style="left:{at:.2f}%"' in html
    assert 'class="la-cut" style="left:75.00%"' in html and "alike from 0.50" in html
    assert f"similarity {similarity:.3f} · probability of “alike” 80 %" in html


def test_a_meter_of_anything_else_has_the_threshold_in_the_middle():
    for kind in ({"embeds": False}, {"distance": "euclidean"}, {"embeds": False, "slope": 0.0}):
        low, high, _ = scale(Head(**kind))
        assert low < high and (low + high) / 2 == pytest.approx(0.5)
    assert 'class="la-at" style="left:100.00%"' in similarity_meter(Head(embeds=False), comparison(1e9))
    low, high, _ = scale(Head(embeds=False))
    ends = Head().trained.calibration.probability(np.array([low, high]))
    np.testing.assert_allclose(ends, [0.01, 0.99], atol=1e-9)


def test_nothing_is_certain():
    assert [percent(share) for share in (0.0, 0.25, 0.994, 1.0)] == ["below 1 %", "25 %", "99 %", "above 99 %"]

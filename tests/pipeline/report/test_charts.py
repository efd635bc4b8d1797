"""Every chart is one SVG element with its words as text, and equal data give equal text."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from pipeline.report import charts

CURVE = [{"false positive rate": f"{x}", "head": "1", "baseline": f"{x}", "chance": f"{x}"} for x in (0, 0.1, 0.5, 1)]
HITS = [{"k": f"{k}", "head": "0.9", "baseline": "0.8", "chance": f"{k / 5}"} for k in range(1, 6)]
SHARES = [{"similarity": f"{x / 4}", "positive": "0.2", "negative": "0.2"} for x in range(5)]
HISTORY = [{"seed": f"{s}", "epoch": f"{e}", "loss": "nan" if e == 0 else "0.1"} for s in range(2) for e in range(3)]


@pytest.mark.parametrize(
    ("draw", "words", "lines"),
    [
        (lambda: charts.hit_rate(HITS), {"head", "baseline", "chance", "k", "hit rate"}, 3),
        (lambda: charts.roc(CURVE), {"head", "baseline", "false positive rate", "true positive rate"}, 3),
        (lambda: charts.similarity(SHARES, 0.5), {"positive", "negative", "threshold, from val"}, 2),
        (lambda: charts.history(HISTORY, "loss"), {"loss", "epoch"}, 2),
    ],
    ids=["hit_rate", "roc", "similarity", "history"],
)
def test_charts(draw, words, lines):
    text = draw()
    assert text == draw()
    root = ElementTree.fromstring(f"<div>{text}</div>")
    assert words <= {"".join(node.itertext()).strip() for node in root.iter()}
    drawn = [node.get("points") for node in root.iter() if node.tag in ("polyline", "polygon")]
    assert len(drawn) == lines and all(re.fullmatch(r"([\d.]+,[\d.]+ ?)+", points) for points in drawn)


def test_points_lie_where_their_values_are():
    line = charts.Line("head", np.array([0.0, 10.0]), np.array([0.0, 1.0]))
    root = ElementTree.fromstring(f"<div>{charts.chart([line], x='x', y='y')}</div>")
    assert next(root.iter("polyline")).get("points") == f"0.0,{float(charts.HEIGHT)} {float(charts.WIDTH)},0.0"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 20, [0, 5, 10, 15, 20]),
        (0.07, 0.14, [0.06, 0.08, 0.1, 0.12, 0.14]),
        (3, 3, [2.4, 2.6, 2.8, 3, 3.2, 3.4, 3.6]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low, high, expected):
    np.testing.assert_allclose(charts.ticks(np.array([low, high, np.nan])), expected)


def test_confusion_is_in_per_cent_of_each_row():
    answers = [
        {"actual": a, "predicted": p} for a, p in (("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("été", "猫"))
    ]
    shares = dict(zip(charts.confusion(answers)["names"], charts.confusion(answers)["shares"], strict=True))
    assert shares == {
        "cat": [50, 50, 0, 0],
        "dog": [0, 100, 0, 0],
        "été": [0, 0, 0, 100],
        "猫": [0, 0, 0, 0],
    }


def test_names_are_escaped():
    line = charts.Line("head", np.arange(3.0), np.arange(3.0))
    assert "<script" not in charts.chart([line], x="<script>", y="</svg><script>")

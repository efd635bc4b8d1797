"""Every chart is one SVG element with its words as text, and equal data give equal text."""

import xml.etree.ElementTree as ElementTree

import pytest

from pipeline.report import charts

CURVE = [{"false positive rate": f"{x}", "head": "1", "baseline": f"{x}", "chance": f"{x}"} for x in (0, 0.1, 0.5, 1)]
HITS = [{"k": f"{k}", "head": "0.9", "baseline": "0.8", "chance": f"{k / 5}"} for k in range(1, 6)]
SHARES = [{"similarity": f"{x / 4}", "positive": "0.2", "negative": "0.2"} for x in range(5)]
ANSWERS = [{"actual": a, "predicted": p} for a, p in (("cat", "cat"), ("cat", "dog"), ("dog", "dog"))]
HISTORY = [{"seed": f"{s}", "epoch": f"{e}", "loss": "nan", "val_top2": "0.5"} for s in range(2) for e in range(3)]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: charts.hit_rate(HITS), {"head", "baseline", "chance", "k", "hit rate"}),
        (lambda: charts.roc(CURVE), {"head", "baseline", "true positive rate"}),
        (lambda: charts.det(CURVE), {"head", "false negative rate", "50%"}),
        (lambda: charts.similarity(SHARES, 0.5), {"positive", "negative", "threshold, from val"}),
        (lambda: charts.confusion(ANSWERS), {"cat", "dog", "50", "100", "0"}),
        (lambda: charts.training(HISTORY), {"val top2", "loss", "epoch"}),
    ],
    ids=["hit_rate", "roc", "det", "similarity", "confusion", "training"],
)
def test_charts(draw, words):
    text = draw()
    assert text == draw()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    shown = {"".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("text")}
    assert words <= shown


def test_names_in_any_script_are_drawn_without_a_warning(recwarn):
    drawn = charts.confusion([{"actual": "猫", "predicted": "猫"}, {"actual": "été", "predicted": "猫"}])
    assert "猫" in drawn and not [warning for warning in recwarn if "Glyph" in str(warning.message)]

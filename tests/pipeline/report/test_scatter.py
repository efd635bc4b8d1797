import io

import numpy as np
from PIL import Image

from pipeline.report import scatter
from pipeline.report.scatter import draw_scatter

PLANE = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)


def groups(count: int) -> np.ndarray:
    return np.array([f"g{i % count}" for i in range(60)], dtype=object)


def picture(count: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_scatter(PLANE, groups(count), title="plane"))).convert("RGB"))


def strong_hues(count: int) -> int:
    """Hues, in tenths of the circle, of more than 20 coloured pixels."""
    hsv = np.asarray(Image.fromarray(picture(count)).convert("HSV")).reshape(-1, 3)
    return int((np.bincount(hsv[hsv[:, 1] > 100, 0] // 26) > 20).sum())


def test_equal_bytes_and_a_colour_a_group():
    assert draw_scatter(PLANE, groups(2), title="plane") == draw_scatter(PLANE, groups(2), title="plane")
    assert strong_hues(2) < strong_hues(6)


def test_many_groups_and_many_points(monkeypatch):
    assert draw_scatter(PLANE, groups(60), title="plane")
    monkeypatch.setattr(scatter, "MOST", 10)
    assert draw_scatter(PLANE, groups(2), title="plane") != draw_scatter(PLANE[:50], groups(2)[:50], title="plane")

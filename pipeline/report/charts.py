"""Line charts of the report, as SVG from a template: colours follow the page's light or dark style."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.templates import render

Rows = Sequence[dict[str, str]]  # of a csv file that evaluate wrote
WIDTH, HEIGHT = 400, 250  # of the area inside the axes


@dataclass(frozen=True)
class Line:
    """One line of a chart; lines of one `kind` share a style and one entry in the legend."""

    kind: str  # head, baseline, chance, positive, negative
    x: np.ndarray
    y: np.ndarray
    filled: bool = False  # down to the x axis


def hit_rate(rows: Rows) -> str:
    """Is the match among the best k of a list?"""
    return chart(_beside_baseline(rows, "k"), x="k", y="hit rate")


def roc(rows: Rows) -> str:
    """True positive rate against false positive rate."""
    return chart(_beside_baseline(rows, "false positive rate"), x="false positive rate", y="true positive rate")


def similarity(rows: Rows, threshold: float) -> str:
    """Similarities of positive and negative pairs, and where the decision falls."""
    at = _column(rows, "similarity")
    lines = [Line(kind, at, _column(rows, kind), filled=True) for kind in ("negative", "positive")]
    return chart(lines, x="similarity, by the first seed's head", y="share of pairs", threshold=threshold)


def history(rows: Rows, column: str) -> str:
    """A column of the training's history, one line per seed."""
    seeds = sorted({row["seed"] for row in rows}, key=int)
    of_seeds = [[row for row in rows if row["seed"] == seed] for seed in seeds]
    lines = [Line("head", _column(part, "epoch"), _column(part, column)) for part in of_seeds]
    return chart(lines, x="epoch", y=column.replace("_", " "), legend=False)


def confusion(answers: Rows) -> dict[str, list]:
    """{"names": (C,), "shares": (C, C) per cent of each row}: actual against predicted group."""
    names = sorted({row["actual"] for row in answers} | {row["predicted"] for row in answers})
    counts = np.zeros((len(names), len(names)))
    for row in answers:
        counts[names.index(row["actual"]), names.index(row["predicted"])] += 1
    return {"names": names, "shares": (100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)).round().tolist()}


def chart(lines: Sequence[Line], *, x: str, y: str, threshold: float | None = None, legend: bool = True) -> str:
    """The SVG element. Equal data give equal text; values that are not numbers are left out."""
    all_x, all_y = (np.concatenate([getattr(line, axis) for line in lines]) for axis in "xy")
    x_ticks, y_ticks = ticks(all_x), ticks(np.append(all_y, 0.0) if lines[0].filled else all_y)

    def place_x(values: np.ndarray) -> np.ndarray:
        return np.round(WIDTH * (values - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]), 1)

    def place_y(values: np.ndarray) -> np.ndarray:
        return np.round(HEIGHT * (y_ticks[-1] - values) / (y_ticks[-1] - y_ticks[0]), 1)

    drawn = []
    for line in lines:
        good = np.isfinite(line.x) & np.isfinite(line.y)
        points = list(zip(place_x(line.x[good]).tolist(), place_y(line.y[good]).tolist(), strict=True))
        if line.filled and points:
            points = [(points[0][0], HEIGHT), *points, (points[-1][0], HEIGHT)]
        drawn.append({"kind": line.kind, "filled": line.filled, "points": " ".join(f"{a},{b}" for a, b in points)})
    return render(
        "chart.svg",
        lines=drawn,
        legend=list(dict.fromkeys(line.kind for line in lines)) if legend else [],
        x_label=x,
        y_label=y,
        x_ticks=list(zip(place_x(x_ticks).tolist(), _labels(x_ticks), strict=True)),
        y_ticks=list(zip(place_y(y_ticks).tolist(), _labels(y_ticks), strict=True)),
        threshold=None if threshold is None else float(place_x(np.clip(threshold, x_ticks[0], x_ticks[-1]))),
        width=WIDTH,
        height=HEIGHT,
    )


def ticks(values: np.ndarray, most: int = 6) -> np.ndarray:
    """At most `most` + 1 round numbers, equally far apart, that enclose `values`."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    for step in (power * nice for nice in (1, 2, 2.5, 5, 10, 20)):
        first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    return step * np.arange(first, last + 1)


def _labels(values: np.ndarray) -> list[str]:
    return [f"{value + 0.0:.6g}".replace("-", "−") for value in np.round(values, 10)]


def _beside_baseline(rows: Rows, x: str) -> list[Line]:
    return [Line(kind, _column(rows, x), _column(rows, kind)) for kind in ("chance", "baseline", "head")]


def _column(rows: Rows, name: str) -> np.ndarray:
    return np.array([float(row[name] or "nan") for row in rows])

"""A study's curve: scores of its rows against one number, as csv (a plot of DVC) and as a picture for its page."""

import io
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.shared.csv_text import csv_of_dicts
from pipeline.studies.results import Results
from pipeline.studies.settings import Study

PUBLISHED = "published"
WIDTH, HEIGHT = 4.6, 3.4  # inches per chart


@dataclass(frozen=True)
class CurvePoint:
    metric: str
    series: str
    x: float
    value: float
    half_width: float | None = None  # of the 95 % interval


def curve_points(study: Study, results: Results) -> list[CurvePoint]:
    """Ours, the baseline of the same features and the published figures, of the rows that have a point on the curve."""
    if study.curve is None:
        return []
    points: dict[tuple[str, str, float], CurvePoint] = {}
    for metric in study.curve.metrics:
        for row in study.rows:
            whole = metric.replace("seen/", "test/") if metric.startswith("seen/") else metric  # all classes are seen
            result = results.get((row.name, metric)) or results.get((row.name, whole))
            if row.point is None or result is None:
                continue
            series, x = row.point.series, row.point.x
            found = (
                (PUBLISHED, result.published, None),
                (series, result.ours, result.half_width),
                (f"{series}, baseline", result.baseline if row.point.with_baseline else None, None),
            )
            for name, value, half_width in found:
                if value is not None:
                    points.setdefault((metric, name, x), CurvePoint(metric, name, x, value, half_width))
    return list(points.values())


def curve_csv(points: list[CurvePoint]) -> bytes:
    return csv_of_dicts([asdict(point) for point in points])


def curve_svg(study: Study, points: list[CurvePoint]) -> bytes:
    """A chart per metric, side by side. Equal points give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    curve = study.curve
    assert curve is not None  # there are points
    metrics = [metric for metric in curve.metrics if any(point.metric == metric for point in points)]
    names = list(dict.fromkeys(point.series for point in points))
    with matplotlib.rc_context({"svg.hashsalt": "curve", "font.size": 9}):
        figure = Figure(figsize=(WIDTH * len(metrics), HEIGHT), layout="constrained")
        for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics))), metrics, strict=True):
            for place, name in enumerate(names):
                found = sorted((p for p in points if (p.metric, p.series) == (metric, name)), key=lambda p: p.x)
                x, y = [p.x for p in found], [100 * p.value for p in found]
                axes.errorbar(
                    *(x, y, [100 * (p.half_width or 0) for p in found]),
                    label=name,
                    color="0.45" if name == PUBLISHED else f"C{place}",
                    linestyle=":" if name == PUBLISHED else "--" if name.endswith("baseline") else "-",
                    marker="o",
                    markersize=3,
                )
            axes.set_xlabel(curve.x)
            axes.set_ylabel(f"{metric.replace('_', ' ').replace('/', ' ')}, per cent")
            axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()

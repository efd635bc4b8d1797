"""The curve of a study: whose points it has, and that equal points give equal files."""

import csv
import io

from pipeline.studies.curve import CurvePoint, curve_csv, curve_points, curve_svg
from pipeline.studies.results import ResultRow
from pipeline.studies.settings import Curve, Row, Section, Study

METRICS = ("seen/top2", "unseen/top2")


def row(name: str, series: str, x: float, metrics=METRICS, **point) -> Row:
    return Row(name=name, point={"series": series, "x": x, **point}, compare=[{"metric": metric} for metric in metrics])


ROWS = (
    row("theirs", "recipe", 10),
    row("ours", "ours", 10, with_baseline=True),
    row("all", "ours", 100, ("test/top2",)),
    Row(name="aside", compare=[{"metric": "seen/top2"}]),
)
STUDY = Study(
    title="A report",
    curve=Curve(title="Budget", x="seen classes", metrics=METRICS),
    sections=[Section(title="Rows", rows=ROWS)],
)
RESULTS = {
    (line.row, line.metric): line
    for line in (
        ResultRow("theirs", "seen/top2", published=0.7, missing="a GPU"),
        ResultRow("theirs", "unseen/top2", missing="a GPU"),
        ResultRow("ours", "seen/top2", 0.7, 0.8, 0.01, 0.6),
        ResultRow("ours", "unseen/top2", None, 0.75, 0.02, 0.6),
        ResultRow("all", "test/top2", 0.8, 0.9, 0.01, 0.6),  # of all classes: none is unseen
        ResultRow("aside", "seen/top2", 0.1, 0.1),
    )
}


def test_points_of_the_rows_that_have_one():
    assert curve_points(STUDY, RESULTS) == [
        CurvePoint("seen/top2", "published", 10, 0.7),
        CurvePoint("seen/top2", "ours", 10, 0.8, 0.01),
        CurvePoint("seen/top2", "ours, baseline", 10, 0.6),
        CurvePoint("seen/top2", "published", 100, 0.8),
        CurvePoint("seen/top2", "ours", 100, 0.9, 0.01),
        CurvePoint("unseen/top2", "ours", 10, 0.75, 0.02),
        CurvePoint("unseen/top2", "ours, baseline", 10, 0.6),
    ]
    assert curve_points(STUDY.model_copy(update={"curve": None}), RESULTS) == []


def test_its_files():
    points = curve_points(STUDY, RESULTS)
    rows = list(csv.DictReader(io.StringIO(curve_csv(points).decode())))
    assert [row["series"] for row in rows] == [point.series for point in points] and rows[0]["half_width"] == ""
    picture = curve_svg(STUDY, points)
    assert picture == curve_svg(STUDY, points)
    assert b"<svg" in picture and b"<dc:date>" not in picture

"""A study's ROC: how often rows accept positive and negative pairs, as csv and as a picture for its page."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.shared.csv_text import csv_of_dicts, read_csv_dicts
from pipeline.studies.settings import Study

FILE = "roc.csv"  # of scores/
FALSE_RATE = "false positive rate"
COLUMNS = ("head", "baseline")
SIDE = 4.2  # inches
Points = dict[str, list[dict[str, str]]]  # row -> its curve, from false positive rate 0 to 1


def roc_points(study: Study, folders: Mapping[str, Sequence[Path]], earlier: Path) -> Points:
    """The curves of the study's `roc` rows: of the results in `folders`, else those that the file `earlier` has."""
    known: Points = {}
    if earlier.exists():
        for point in read_csv_dicts(earlier):
            known.setdefault(point["row"], []).append(point)
    found: Points = {}
    for name in study.roc:
        files = [folder / FILE for folder in folders.get(name, ())]
        if len(files) == 1 and files[0].exists():
            found[name] = [
                {"row": name, FALSE_RATE: point[FALSE_RATE], **{column: point[column] for column in COLUMNS}}
                for point in read_csv_dicts(files[0])
            ]
        elif name in known:
            found[name] = known[name]
    return found


def roc_csv(points: Points) -> bytes:
    return csv_of_dicts([point for curve in points.values() for point in curve])


def roc_svg(study: Study, points: Points) -> bytes:
    """One line per row and one for the baseline of the first; published balanced accuracies are lines that a curve
    must cross to reach them (true minus false positive rate = 2 x accuracy - 1). Equal points give equal bytes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "roc", "font.size": 9}):
        figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
        axes = figure.subplots()
        for place, (name, curve) in enumerate(points.items()):
            x = [float(point[FALSE_RATE]) for point in curve]
            if not place:
                axes.plot(x, [float(point["baseline"]) for point in curve], "--", color="C0", label=f"{name}, baseline")
            axes.plot(x, [float(point["head"]) for point in curve], color=f"C{place}", label=name)
        for accuracy in published_accuracies(study, points):
            gap = 2 * accuracy - 1
            axes.plot([0, 1 - gap], [gap, 1], ":", color="0.3", label=f"published, {100 * accuracy:.1f} % balanced")
        axes.plot([0, 1], [0, 1], color="0.75", label="chance")
        axes.set(xlabel="negative pairs accepted", ylabel="positive pairs accepted", xlim=(0, 1), ylim=(0, 1))
        axes.set_aspect("equal")
        axes.legend(fontsize=8, loc="lower right")
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def published_accuracies(study: Study, points: Points) -> list[float]:
    """Balanced accuracies that the report gives for the rows of the picture, each once."""
    found = {
        compare.published
        for row in study.rows
        if row.name in points
        for compare in row.compare
        if compare.metric == "test/balanced_accuracy" and compare.published is not None
    }
    return sorted(found)

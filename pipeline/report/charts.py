"""Charts as SVG text that reads on a light page and on a dark one: no background, grey ink, two strong colours."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

Rows = Sequence[dict[str, str]]  # of a csv file that evaluate wrote
INK, HEAD, BASELINE, CHANCE = "#8b93a1", "#2f7fe0", "#e8833a", "#8b93a1"
STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "svg.hashsalt": "lookalike",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "legend.frameon": False,
}


def hit_rate(rows: Rows) -> str:
    """Is the match among the best k of a list?"""
    with _chart("k", "hit rate") as (axes, out):
        for name, colour, line in (("head", HEAD, "-"), ("baseline", BASELINE, "-"), ("chance", CHANCE, "--")):
            axes.plot(_column(rows, "k"), _column(rows, name), line, color=colour, label=name)
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower right")
    return out[0]


def training(rows: Rows) -> str:
    """The val score and the loss, one line a seed."""
    score = next(name for name in rows[0] if name.startswith("val_"))
    with _chart("epoch", score.replace("_", " ")) as (axes, out):
        losses = axes.twinx()
        losses.grid(False)
        losses.set_ylabel("loss")
        for seed in sorted({row["seed"] for row in rows}, key=int):
            mine = [row for row in rows if row["seed"] == seed]
            axes.plot(_column(mine, "epoch"), _column(mine, score), color=HEAD, alpha=0.8)
            losses.plot(_column(mine, "epoch"), _column(mine, "loss"), color=BASELINE, alpha=0.6)
        axes.plot([], [], color=HEAD, label=score.replace("_", " "))
        axes.plot([], [], color=BASELINE, label="loss")
        axes.legend(loc="center right")
    return out[0]


def similarity(rows: Rows, threshold: float) -> str:
    """Similarities of positive and negative pairs, and where the decision falls."""
    with _chart("similarity, by the first seed's head", "share") as (axes, out):
        at = _column(rows, "similarity")
        width = at[1] - at[0] if len(at) > 1 else 1
        for name, colour in (("negative", BASELINE), ("positive", HEAD)):
            axes.bar(at, _column(rows, name), width=width, color=colour, alpha=0.55, label=name)
        axes.axvline(threshold, color=INK, linestyle="--", label="threshold, from val")
        axes.legend()
    return out[0]


def roc(rows: Rows) -> str:
    """True positive rate against false positive rate."""
    with _chart("false positive rate", "true positive rate") as (axes, out):
        for name, colour, line in (("head", HEAD, "-"), ("baseline", BASELINE, "-"), ("chance", CHANCE, "--")):
            axes.plot(_column(rows, "false positive rate"), _column(rows, name), line, color=colour, label=name)
        axes.set_aspect("equal")
        axes.legend(loc="lower right")
    return out[0]


def det(rows: Rows) -> str:
    """Detection error trade-off (Martin et al., 1997): misses against false alarms on normal-deviate axes."""
    ticks = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95])
    low, high = 5e-4, 0.97
    with _chart("false positive rate", "false negative rate") as (axes, out):
        alarms = _column(rows, "false positive rate")
        for name, colour, line in (("head", HEAD, "-"), ("baseline", BASELINE, "-"), ("chance", CHANCE, "--")):
            missed = 1 - _column(rows, name)
            inside = (alarms > low) & (alarms < high)
            axes.plot(ndtri(alarms[inside]), ndtri(np.clip(missed[inside], low, high)), line, color=colour, label=name)
        for put in (axes.set_xticks, axes.set_yticks):
            put(ndtri(ticks), [f"{100 * tick:g}%" for tick in ticks])
        axes.set_xlim(ndtri(low), ndtri(high))
        axes.set_ylim(ndtri(low), ndtri(high))
        axes.set_aspect("equal")
        axes.legend(loc="upper right")
    return out[0]


def confusion(answers: Rows) -> str:
    """Shares of each row: actual against predicted group."""
    names = sorted({row["actual"] for row in answers} | {row["predicted"] for row in answers})
    counts = np.zeros((len(names), len(names)))
    for row in answers:
        counts[names.index(row["actual"]), names.index(row["predicted"])] += 1
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with _chart("predicted", "actual") as (axes, out):
        axes.grid(False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)
        axes.set_yticks(range(len(names)), names)
        if len(names) <= 12:
            for i, j in np.ndindex(shares.shape):
                colour = "white" if shares[i, j] > 0.55 else "#30343b"
                axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", color=colour)
    return out[0]


@contextmanager
def _chart(x: str, y: str) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; afterwards the list holds the SVG element. Equal data give equal text."""
    out: list[str] = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.5), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield axes, out
        stream = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # text stays text: the browser has the letters
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    out.append(text[text.index("<svg") :])


def _column(rows: Rows, name: str) -> np.ndarray:
    return np.array([float(row[name] or "nan") for row in rows])

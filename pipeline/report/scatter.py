"""Two-dimensional embeddings as a scatter plot with equal scales, as in the MNIST plane report."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

NAMED = 20  # groups: more of them have no legend
MOST = 20_000  # points that are drawn


def draw_scatter(plane: NDArray[np.float32], groups: NDArray[np.object_], *, title: str) -> bytes:
    """PNG. plane (n, 2), groups (n,): each group in a colour of its own, its name at its median. Equal inputs give
    equal bytes.
    """
    if len(plane) > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(len(plane), MOST, replace=False))
        plane, groups = plane[chosen], groups[chosen]
    names, codes = np.unique(groups.astype(str), return_inverse=True)
    few = len(names) <= 10
    colours = colormaps["tab10" if few else "hsv"](np.arange(10) if few else np.linspace(0, 1, len(names)))
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(aspect="equal", title=title)
    axes.grid(alpha=0.25)
    axes.scatter(*plane.T, s=6, c=colours[codes], linewidths=0, alpha=0.6)
    for code, name in enumerate(names if len(names) <= NAMED else []):
        x, y = np.median(plane[codes == code], axis=0)
        axes.text(
            x, y, name, ha="center", va="center", weight="bold", bbox={"facecolor": "white", "alpha": 0.8, "lw": 0}
        )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()

"""A map of the test split's embeddings with thumbnails on it: t-SNE, or the plane itself where the head gives two
numbers.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data.tables.rows import read_thumbs
from heads.metrics.evaluation import Subset
from pipeline.report.load_run import TrainedRun

SHOWN = 700  # images on the map
SIDE, PAD, THUMB = 1800, 60, 44
PAPER, LINK = "#f3f4f6", "#9ca3af"
COLOURS = ("#2f7fe0", "#e8833a", "#3aa76d", "#c2569b", "#8a63d2", "#c9a227", "#d64545", "#2aa7b8", "#7a5c3e", "#6b7280")


def place(embeddings: NDArray[np.float32], *, cosine: bool, seed: int = 0) -> NDArray[np.float64]:
    """(n, E) -> (n, 2) in [0, 1]. t-SNE keeps neighbours, not distances between far clusters."""
    if embeddings.shape[1] == 2:
        plane = embeddings.astype(np.float64)
    else:
        from sklearn.manifold import TSNE

        if cosine:
            embeddings = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        perplexity = min(30.0, max(2.0, (len(embeddings) - 1) / 4))
        plane = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(embeddings).astype(np.float64)
    low, high = plane.min(0), plane.max(0)
    return (plane - low) / np.where(high > low, high - low, 1)


def draw_plane(
    points: NDArray[np.float64], thumbs: Sequence[bytes], *, colours: NDArray[np.int64], links: NDArray[np.int64]
) -> bytes:
    """JPEG. `points` (n, 2) in [0, 1]; `colours` (n,) index the frames; `links` (m, 2) join pairs of points."""
    sheet = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(sheet)
    middle = PAD + points * (SIDE - 2 * PAD)
    for a, b in links:
        draw.line((*middle[a], *middle[b]), fill=LINK, width=2)
    for (x, y), thumb, colour in zip(middle, thumbs, colours, strict=True):
        image = Image.open(io.BytesIO(thumb)).convert("RGB")
        image.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
        left, top = round(x - image.width / 2), round(y - image.height / 2)
        sheet.paste(image, (left, top))
        frame = COLOURS[colour % len(COLOURS)]
        draw.rectangle((left - 2, top - 2, left + image.width + 1, top + image.height + 1), outline=frame, width=2)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def draw_map(run: TrainedRun, subsets: dict[str, Subset], embeddings: NDArray[np.float32]) -> tuple[bytes, str]:
    """JPEG of up to `SHOWN` test images, and its caption; `embeddings` (N, E) are of the first seed.

    Pairs are shown whole and joined, classes in their colours.
    """
    rows, rng = run.rows, np.random.default_rng(0)
    test = np.unique(np.concatenate([np.r_[subset.queries, subset.gallery] for subset in subsets.values()]))
    if rows.has_roles:
        groups = rng.permutation(np.unique(rows.labels[test]))[: SHOWN // 2]
        chosen = test[np.isin(rows.labels[test], groups)]
        colours = (rows.role[chosen] == "right").astype(np.int64)
        links = np.argsort(rows.labels[chosen], kind="stable").reshape(-1, 2)
        frames = "Left images are framed blue, right images orange; a line joins each pair: the shorter, the better."
    else:
        chosen = np.sort(rng.permutation(test)[:SHOWN])
        colours = np.unique(rows.labels[chosen], return_inverse=True)[1]
        links = np.empty((0, 2), np.int64)
        frames = "Images of a group have frames of one colour (ten colours in turn)."
    plane = embeddings.shape[1] == 2
    points = place(embeddings[chosen], cosine=run.trained.settings.distance == "cosine" and not plane)
    what = "The first seed's embeddings"
    if not run.trained.embeds:
        what = "The first seed's network before its classifier of pairs, whose scores need not follow it"
    kind = f"{what}: the plane itself." if plane else f"{what}, by t-SNE: near counts, far does not."
    picture = draw_plane(points, read_thumbs(run.folder / "rows.parquet", chosen), colours=colours, links=links)
    return picture, f"{len(chosen):,} test images. {kind} {frames}"

"""Queries worth looking at, each with its best five by the head and by the baseline."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from data.tables.rows import Rows, read_thumbs
from heads.metrics.evaluation import Subset
from heads.metrics.mcnemar import Flips, mcnemar
from heads.metrics.score_table import RunEvaluations
from heads.similarity import Similarity

NEAREST = 5


@dataclass(frozen=True)
class Thumbnail:
    row: int
    content: bytes  # JPEG
    match: bool = False


@dataclass(frozen=True)
class Example:
    """A query and the gallery rows that are most alike to it, best first."""

    query: Thumbnail
    rank: int  # of its best match, by the head; from 1
    baseline_rank: int
    nearest: tuple[Thumbnail, ...]
    baseline_nearest: tuple[Thumbnail, ...]


def gained_and_lost(scores: RunEvaluations, *, k: int) -> dict[str, Flips]:
    """For each subset, positions in its queries: hits at k (mean over seeds) gained and lost against the baseline."""
    name = f"top{k}"
    return {
        subset: mcnemar(baseline.by_query[name], np.mean([seed[subset].by_query[name] for seed in scores.head], axis=0))
        for subset, baseline in scores.baseline.items()
    }


def examples(
    queries: ArrayLike, *, subset: Subset, sides: tuple[Similarity, Similarity], rows: Rows, thumbs: Path
) -> list[Example]:
    """Look up each of `queries` (row numbers) in the gallery of its subset, by head and by baseline: `sides`.

    Thumbnails come from `thumbs`, rows.parquet, so that no images are needed.
    """
    queries = np.asarray(queries, np.int64)
    if not len(queries):
        return []
    by_head, by_baseline = (_look_up(similarity, queries, subset.gallery, rows.labels) for similarity in sides)
    shown = np.concatenate([queries[:, None], by_head[0], by_baseline[0]], axis=1)
    wanted = np.unique(shown)
    thumb = dict(zip(wanted.tolist(), read_thumbs(thumbs, wanted), strict=True))

    def picture(row: int, query: int) -> Thumbnail:
        return Thumbnail(int(row), thumb[int(row)], match=bool(rows.labels[row] == rows.labels[query]))

    return [
        Example(
            query=Thumbnail(int(query), thumb[int(query)]),
            rank=int(by_head[1][i]),
            baseline_rank=int(by_baseline[1][i]),
            nearest=tuple(picture(row, query) for row in by_head[0][i]),
            baseline_nearest=tuple(picture(row, query) for row in by_baseline[0][i]),
        )
        for i, query in enumerate(queries)
    ]


@torch.no_grad()
def _look_up(
    similarity: Similarity, queries: NDArray[np.int64], gallery: NDArray[np.int64], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(Q, 5) nearest gallery rows, and (Q,) the rank of the best match; a query is not its own neighbour."""
    scores = similarity.block(torch.from_numpy(queries), torch.from_numpy(gallery)).float().cpu().numpy()
    scores = np.where(queries[:, None] == gallery, -np.inf, scores)
    nearest = gallery[np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]]
    match = (codes[queries][:, None] == codes[gallery]) & (queries[:, None] != gallery)
    best = np.where(match, scores, -np.inf).max(1, keepdims=True)
    return nearest, 1 + ((scores > best) & ~match).sum(1)

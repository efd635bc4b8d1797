"""Scores of arrays, without params.yaml: `from heads import evaluate`."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from heads.errors import HeadError
from heads.metrics.baselines import baseline_similarity, constant_similarity, random_projection_similarity
from heads.metrics.evaluation import Evaluation, Subset, evaluate_subset
from heads.metrics.intervals import N_BOOTSTRAP
from heads.metrics.score_table import RunEvaluations, ScoreRow, score_table
from heads.similarity import Distance, Similarity, embedding_similarity

WITH_THRESHOLD = ("accuracy", "balanced_accuracy")


class HasSimilarities(Protocol):
    """A trained head: `heads.store.TrainedHead`."""

    def similarities(self, features: Tensor) -> list[Similarity]: ...


def evaluate(
    rows: ArrayLike | Tensor,
    labels: ArrayLike,
    *,
    head: HasSimilarities | None = None,
    distance: Distance = "cosine",
    baseline: ArrayLike | Tensor | None = None,
    queries: ArrayLike | None = None,
    gallery: ArrayLike | None = None,
    candidates: int = 20,
    clusters: ArrayLike | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, ScoreRow]:
    """Retrieval and verification scores, each with its 95 % interval, beside the baseline and chance.

    Scores by name: `top1`, `top2`, `top5` (hit rates in random lists of `candidates`), `recall_at_1`, `recall_at_5`,
    `recall_at_20`, `mrr`, `map`, `map_at_r`, `r_precision`, `triplet_accuracy`, `knn_accuracy`, `auc`, `eer`; where the
    gallery is too small for one, it is absent. Accuracies of pairs are not among them: they need a threshold that was
    chosen on other rows.

    Args:
        rows: (N, D) features of `head`, or without a head the embeddings to score, compared by `distance`.
        labels: (N,) the group of every row; rows of one group are positives.
        head: a trained head; its seeds are scored one by one, and averaged.
        baseline: (N, D') features whose cosine is the baseline; by default `rows`.
        queries, gallery: row numbers; all rows by default. A query is never in its own gallery.
        candidates: length C of the lists of `top1`, `top2` and `top5`.
        clusters: (N,) rows whose scores are not independent share a value. By default the labels, which is right for
            groups that training did not see; `np.arange(N)` for groups that it saw.
        n_bootstrap: samples of the bootstrap over clusters.

    Raises:
        HeadError: lengths differ, no query has both a positive and a negative, or lists are longer than the gallery.

    >>> import numpy as np
    >>> from heads import evaluate
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(np.arange(20), 5)
    >>> embeddings = rng.normal(size=(20, 8))[labels] + 0.5 * rng.normal(size=(100, 8))
    >>> scores = evaluate(embeddings, labels)
    >>> top2 = scores["top2"]
    >>> round(top2.head, 2), round(top2.half_width, 2), round(top2.chance, 2)
    (0.92, 0.06, 0.1)
    """
    rows, features = _tensor(rows), _tensor(rows if baseline is None else baseline)
    groups = np.unique(np.asarray(labels), return_inverse=True)[1]
    every = np.arange(len(rows))
    clusters = groups if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    for name, length in (("labels", len(groups)), ("baseline", len(features)), ("clusters", len(clusters))):
        if length != len(rows):
            raise HeadError(f"{name} has {length} entries for {len(rows)} rows: give one per row")
    subset = Subset(
        queries=every if queries is None else np.asarray(queries, np.int64),
        gallery=every if gallery is None else np.asarray(gallery, np.int64),
    )

    def scored(similarity: Similarity) -> dict[str, Evaluation]:
        return {
            "test": evaluate_subset(similarity, groups, subset=subset, candidates=candidates, threshold=float("inf"))
        }

    of_head = [embedding_similarity(rows, distance)] if head is None else head.similarities(rows)
    evaluations = RunEvaluations(
        head=[scored(similarity) for similarity in of_head],
        baseline=scored(baseline_similarity(features)),
        projection=scored(random_projection_similarity(features)),
        chance=scored(constant_similarity()),
    )
    table = score_table(evaluations, clusters=clusters, n_bootstrap=n_bootstrap)
    return {row.score: row for row in table if row.score not in WITH_THRESHOLD}


def _tensor(array: ArrayLike | Tensor) -> Tensor:
    """(N, D) float32."""
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array, np.float32))
    if tensor.ndim != 2:
        raise HeadError(f"expected an array of shape (N, D), got {tuple(tensor.shape)}")
    return tensor.float()

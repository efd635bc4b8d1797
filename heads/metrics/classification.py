"""Groups as classes: k-nearest-neighbour classification, and the classes that it confuses."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK
from heads.similarity import Similarity


@dataclass(frozen=True)
class ConfusedPair:
    """One kind of error: `count` queries of group `truth` were predicted as group `predicted`."""

    truth: int
    predicted: int
    count: int


@torch.no_grad()
def knn_predict(
    similarity: Similarity, labels: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, k: int = 5
) -> np.ndarray:
    """(Q,) the majority group of the k nearest gallery rows; equal votes: the higher sum of similarities.

    A query is not its own neighbour. `labels` (N,) int, `queries` (Q,) and `gallery` (G,) rows.

    Raises:
        HeadError: k is larger than the gallery.
    """
    labels, queries, gallery = (np.asarray(array, np.int64) for array in (labels, queries, gallery))
    own = np.isin(queries, gallery).any()
    if not 1 <= k <= len(gallery) - own:
        raise HeadError(f"k is {k}, but the gallery has {len(gallery) - own} rows: set k to 1..{len(gallery) - own}")
    columns = torch.from_numpy(gallery)
    of_gallery = torch.from_numpy(labels[gallery])
    predicted = []
    for rows in torch.from_numpy(queries).split(max(1, BLOCK // len(gallery))):
        scores = similarity.block(rows, columns).cpu().masked_fill(rows[:, None] == columns, -torch.inf)
        top = scores.topk(k, dim=1)
        votes = of_gallery[top.indices]  # (B, k)
        same = votes[:, :, None] == votes[:, None, :]  # (B, k, k)
        sums = (same * top.values[:, None, :].double()).sum(2)
        low, high = sums.min(), sums.max()
        weight = same.sum(2) + 0.5 * (sums - low) / (high - low + 1)  # a vote always outweighs similarity
        predicted.append(votes.gather(1, weight.argmax(1, keepdim=True))[:, 0])
    return torch.cat(predicted).numpy()


def most_confused(truth: ArrayLike, predicted: ArrayLike, *, most: int = 10) -> list[ConfusedPair]:
    """The `most` most frequent errors, most frequent first. `truth`, `predicted`: (Q,) groups."""
    truth, predicted = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    wrong = truth != predicted
    errors, counts = np.unique(np.stack([truth[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [ConfusedPair(int(errors[i, 0]), int(errors[i, 1]), int(counts[i])) for i in order]

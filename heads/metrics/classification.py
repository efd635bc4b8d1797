"""Groups as classes: what do the nearest gallery rows say, and which classes get confused?"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.metrics.ranking import BLOCK
from heads.similarity import Similarity


@dataclass(frozen=True)
class Confused:
    """One kind of error: `count` queries of group `truth` were taken for group `said`."""

    truth: int
    said: int
    count: int


@torch.no_grad()
def nearest_vote(
    similarity: Similarity, codes: ArrayLike, *, queries: ArrayLike, gallery: ArrayLike, k: int = 5
) -> np.ndarray:
    """(Q,) the group that most of the k nearest gallery rows belong to; equal votes: the higher sum of similarities.

    A query is not its own neighbour.

    Raises:
        HeadError: k is larger than the gallery.
    """
    codes, queries, gallery = (np.asarray(array, np.int64) for array in (codes, queries, gallery))
    own = np.isin(queries, gallery).any()
    if not 1 <= k <= len(gallery) - own:
        raise HeadError(f"{k} nearest neighbours cannot be asked for: the gallery has {len(gallery) - own} rows")
    columns = torch.from_numpy(gallery)
    labels = torch.from_numpy(codes[gallery])
    said = []
    size = max(1, BLOCK // len(gallery))
    for rows in torch.from_numpy(queries).split(size):
        scores = similarity.block(rows, columns).cpu().masked_fill(rows[:, None] == columns, -torch.inf)
        near = scores.topk(k, dim=1)
        votes = labels[near.indices]  # (B, k)
        same = votes[:, :, None] == votes[:, None, :]  # (B, k, k)
        sums = (same * near.values[:, None, :].double()).sum(2)
        low, high = sums.min(), sums.max()
        weight = same.sum(2) + 0.5 * (sums - low) / (high - low + 1)  # a vote always outweighs similarity
        said.append(votes.gather(1, weight.argmax(1, keepdim=True))[:, 0])
    return torch.cat(said).numpy()


def most_confused(truth: ArrayLike, said: ArrayLike, *, most: int = 10) -> list[Confused]:
    """The most frequent errors, most frequent first. `truth`, `said`: (Q,) groups; there may be any number of them."""
    truth, said = np.asarray(truth, np.int64), np.asarray(said, np.int64)
    wrong = truth != said
    errors, counts = np.unique(np.stack([truth[wrong], said[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [Confused(int(errors[i, 0]), int(errors[i, 1]), int(counts[i])) for i in order]

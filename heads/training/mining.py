"""Mining: choice of an anchor's negatives in its batch or in the whole training set."""

import numpy as np
import torch
from torch import Tensor

from heads.models.base import Head
from heads.training.samplers import TrainingSet, random_negatives

ANCHORS_AT_ONCE = 1024


def mine(kind: str, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """The part of the mask `negatives` (A, L) that `kind` keeps, by `similarity` (A, L).

    in_batch   all of them
    hard       the most similar negative of each anchor (batch-hard, Hermans et al. 2017)
    semihard   the most similar negative among those less similar than the anchor's least similar positive; where every
               negative is more similar than that, the least similar one (Schroff et al. 2015, section 3.2)
    """
    if kind not in ("hard", "semihard"):
        return negatives
    candidates = negatives
    if kind == "semihard":
        easiest = torch.where(positives, similarity, torch.inf).amin(1, keepdim=True)
        easier = negatives & (similarity < easiest)
        candidates = torch.where(easier.any(1, keepdim=True), easier, negatives)
        # Where no negative is easier, the least similar one is the most similar one of the negated similarities.
        similarity = torch.where(easier.any(1, keepdim=True), similarity, -similarity)
    best = torch.where(candidates, similarity, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(negatives).scatter(1, best, True) & negatives


@torch.no_grad()
def mine_offline(
    head: Head,
    embeddings: Tensor,
    training_set: TrainingSet,
    count: int,
    *,
    relative_margin: float | None,
    max_score: float | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """The `count` most similar negatives of every row, over the whole training set: positions (n, count).

    embeddings (n, E). Two guards against false negatives, as sentence-transformers' `mine_hard_negatives` has them: a
    row more similar than `max_score` is passed over, and so is one more similar than m - relative_margin |m|, where m
    is the mean similarity of the anchor's positives, which a distance or a logit may make negative. Where fewer than
    `count` are left, random negatives fill up.
    """
    labels = torch.as_tensor(training_set.labels, device=embeddings.device)
    in_gallery = torch.ones_like(labels, dtype=torch.bool)
    if training_set.sides is not None:
        in_gallery = torch.as_tensor(training_set.sides == 1, device=embeddings.device)
    mined = []
    for rows in torch.arange(len(labels), device=embeddings.device).split(ANCHORS_AT_ONCE):
        similarity = head.pairwise(embeddings[rows], embeddings)  # (A, n)
        same = labels[rows, None] == labels
        positives = same & in_gallery & (rows[:, None] != torch.arange(len(labels), device=rows.device))
        allowed = ~same & in_gallery
        if max_score is not None:
            allowed &= similarity <= max_score
        if relative_margin is not None:
            mean = torch.where(positives, similarity, 0.0).sum(1) / positives.sum(1).clamp(min=1)
            allowed &= similarity <= (mean - relative_margin * mean.abs()).unsqueeze(1)
        best, place = torch.where(allowed, similarity, -torch.inf).topk(min(count, len(labels)), dim=1)
        mined.append(torch.where(best > -torch.inf, place, -1).cpu().numpy())
    found = np.concatenate(mined)
    found = np.pad(found, ((0, 0), (0, count - found.shape[1])), constant_values=-1)
    spare = random_negatives(training_set, np.arange(len(labels)), count, rng)
    return np.where(found < 0, spare, found)

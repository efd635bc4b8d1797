"""Which negatives an anchor learns from: of its batch, or of the whole training set."""

import numpy as np
import torch
from torch import Tensor

from heads.models.embedding_heads import Head
from heads.training.samplers import Pool, random_negatives

ANCHORS_AT_ONCE = 1024


def mine(kind: str, positive: Tensor, negative: Tensor, valid: Tensor) -> Tensor:
    """The part of `valid` (S, A, N) that `kind` keeps; positive (S, A, P) and negative (S, A, N) are similarities.

    in_batch   all of them
    hard       the most alike negative of each anchor (batch-hard, Hermans et al. 2017)
    semihard   the most alike negative among those less alike than the anchor's least alike positive; where every
               negative is more alike than that, the least alike one (Schroff et al. 2015, section 3.2)
    """
    if kind not in ("hard", "semihard"):
        return valid
    candidates = valid
    if kind == "semihard":
        easier = valid & (negative < positive.amin(2, keepdim=True))
        candidates = torch.where(easier.any(2, keepdim=True), easier, valid)
        # Where no negative is easier, the least alike one is the most alike one of the negated similarities.
        negative = torch.where(easier.any(2, keepdim=True), negative, -negative)
    best = torch.where(candidates, negative, -torch.inf).argmax(2, keepdim=True)
    return torch.zeros_like(valid).scatter(2, best, True) & valid


@torch.no_grad()
def mine_offline(
    head: Head,
    encoded: Tensor,
    pool: Pool,
    count: int,
    *,
    relative_margin: float | None,
    max_score: float | None,
    draws: list[np.random.Generator],
) -> np.ndarray:
    """The `count` most alike negatives of every pool row, over the whole pool: positions (S, n, count).

    encoded (S, n, E). Guards against false negatives, as sentence-transformers' `mine_hard_negatives` has them: a row
    more alike than `max_score` is passed over, and so is one more alike than (1 - relative_margin) times the mean
    positive of the anchor. Where fewer than `count` are left, random negatives fill up.
    """
    codes = torch.as_tensor(pool.codes, device=encoded.device)
    answers = torch.ones_like(codes, dtype=torch.bool)
    if pool.sides is not None:
        answers = torch.as_tensor(pool.sides == 1, device=encoded.device)
    chosen = []
    for start in range(0, len(codes), ANCHORS_AT_ONCE):
        rows = torch.arange(start, min(start + ANCHORS_AT_ONCE, len(codes)), device=encoded.device)
        scores = head.block(encoded[:, rows], encoded)  # (S, A, n)
        same = codes[rows, None] == codes
        positive = same & answers & (rows[:, None] != torch.arange(len(codes), device=encoded.device))
        allowed = (~same & answers).expand_as(scores)
        if max_score is not None:
            allowed = allowed & (scores <= max_score)
        if relative_margin is not None:
            mean = torch.where(positive, scores, 0.0).sum(2) / positive.sum(1).clamp(min=1)
            allowed = allowed & (scores <= (1 - relative_margin) * mean.unsqueeze(2))
        best, place = torch.where(allowed, scores, -torch.inf).topk(min(count, len(codes)), dim=2)
        chosen.append(torch.where(best > -torch.inf, place, -1).cpu().numpy())
    found = np.concatenate(chosen, axis=1)
    found = np.pad(found, ((0, 0), (0, 0), (0, count - found.shape[2])), constant_values=-1)
    anchors = np.arange(len(codes))
    for seed, draw in enumerate(draws):
        spare = random_negatives(pool, anchors, count, draw)
        found[seed] = np.where(found[seed] < 0, spare, found[seed])
    return found

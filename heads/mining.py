"""Which of a batch's negatives an anchor learns from. The plain-loop oracles are in tests/heads/test_mining.py."""

import torch
from torch import Tensor


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

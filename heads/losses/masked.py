"""Sums over the entries of a tensor that a mask selects; the other entries have no gradient."""

import torch
from torch import Tensor

LOG_ZERO = -1e30  # minus infinity would turn the gradient of an empty sum into NaN


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the entries of `values` where `mask`, of the same shape, is True; 0 where none is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def masked_logsumexp(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """log of the sum of exp over the entries along `dim` where `mask` is True; about -1e30 where none is."""
    return torch.where(mask, values, LOG_ZERO).logsumexp(dim)

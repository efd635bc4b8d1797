"""Where the linear layer on top of a network starts."""

import torch
from torch import Tensor, nn

from heads.models.embedding_heads import pca_init


@torch.no_grad()
def init_with_pca(layer: nn.Linear, outputs: Tensor) -> None:
    """Begin as a linear head does, on `outputs` (N, D), what the network gives at first, less their mean.

    So before any step cosines are about those of the centred outputs, and not of a random projection.
    """
    mean = outputs.mean(0)
    start = pca_init(layer.in_features, layer.out_features, outputs - mean)
    layer.weight.copy_(start.T)
    layer.bias.copy_(-layer.weight @ mean)

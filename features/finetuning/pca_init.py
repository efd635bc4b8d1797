"""Initial weights of the linear layer on top of a network."""

import torch
from torch import Tensor, nn

from heads.models.embedding_heads import pca_init


@torch.no_grad()
def init_with_pca(layer: nn.Linear, outputs: Tensor) -> None:
    """Set `layer` to the principal axes of `outputs` (N, D), those of the network before training, minus their mean.

    So before the first step the cosines are about those of the centred outputs.
    """
    mean = outputs.mean(0)
    start = pca_init(layer.in_features, layer.out_features, outputs - mean)
    layer.weight.copy_(start.T)
    layer.bias.copy_(-layer.weight @ mean)

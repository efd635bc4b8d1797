"""A trained head as one graph for export: what `heads.embeddings` computes, without its batches and checks."""

from typing import cast

import torch
from torch import Tensor, nn

from heads.embeddings import concat_seeds, distinct_heads
from heads.models.base import Head
from heads.store import TrainedHead


class HeadGraph(nn.Module):
    """Features (B, D) -> embeddings (B, S * E), as `heads.embeddings.embed`."""

    def __init__(self, trained: TrainedHead) -> None:
        super().__init__()
        self.transform, self.of_each_seed = trained.transform, nn.ModuleList(distinct_heads(trained.heads))

    @property
    def heads(self) -> list[Head]:
        return cast(list[Head], list(self.of_each_seed))

    def forward(self, features: Tensor) -> Tensor:
        return concat_seeds(self.heads, self.of_seeds(features))

    def of_seeds(self, features: Tensor) -> Tensor:
        """(B, D) -> (S, B, E)"""
        inputs = self.transform(features)
        return torch.stack([head(inputs) for head in self.heads])


class PairGraph(HeadGraph):
    """Features of B pairs (B, D), (B, D) -> similarities (B,): the diagonal of `heads.embeddings.similarity_matrix`."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        pairs = zip(self.heads, self.of_seeds(left), self.of_seeds(right), strict=True)
        return torch.stack([head.elementwise(a, b) for head, a, b in pairs]).mean(0)

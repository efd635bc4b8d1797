"""A trained head as one graph, for export: what `codes` computes, without its batches and its checks."""

from torch import Tensor, nn

from heads.embeddings import different_seeds, joined
from heads.store import TrainedHead


class CodeGraph(nn.Module):
    """Features (B, D) -> codes (B, S * E): `codes.encode`."""

    def __init__(self, trained: TrainedHead) -> None:
        super().__init__()
        self.trained = trained
        self.transform, self.head = trained.transform, trained.head

    def forward(self, features: Tensor) -> Tensor:
        return joined(self.head, self.encoded(features))

    def encoded(self, features: Tensor) -> Tensor:
        """(B, D) -> (S, B, E)"""
        return self.head.encode(self.transform(features).expand(self.trained.settings.seeds, -1, -1))


class PairGraph(CodeGraph):
    """Features of B pairs (B, D), (B, D) -> their similarity (B,): the diagonal of `codes.compare`."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        parts = different_seeds(self.head, self.trained.settings.seeds)
        a, b = (self.encoded(features)[:parts] for features in (left, right))
        return self.head.rowwise(a, b.unsqueeze(2))[:, :, 0].mean(0)

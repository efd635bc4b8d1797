"""A trained head as one graph for export: what `heads.embeddings` computes, without its batches and checks."""

from torch import Tensor, nn

from heads.embeddings import concat_seeds, distinct_seeds
from heads.store import TrainedHead


class HeadGraph(nn.Module):
    """Features (B, D) -> embeddings (B, S * E), as `heads.embeddings.embed`."""

    def __init__(self, trained: TrainedHead) -> None:
        super().__init__()
        self.trained = trained
        self.transform, self.head = trained.transform, trained.head

    def forward(self, features: Tensor) -> Tensor:
        return concat_seeds(self.head, self.encoded(features))

    def encoded(self, features: Tensor) -> Tensor:
        """(B, D) -> (S, B, E)"""
        return self.head.encode(self.transform(features).expand(self.trained.settings.seeds, -1, -1))


class PairGraph(HeadGraph):
    """Features of B pairs (B, D), (B, D) -> similarities (B,): the diagonal of `heads.embeddings.similarity_matrix`."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        seeds = distinct_seeds(self.head, self.trained.settings.seeds)
        a, b = (self.encoded(features)[:seeds] for features in (left, right))
        return self.head.rowwise(a, b.unsqueeze(2))[:, :, 0].mean(0)

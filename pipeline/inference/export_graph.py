"""A head with its networks as one graph: images in, an embedding or a similarity out."""

from torch import Tensor, nn

from features.export_graph import ConcatGraph, FeatureGraph
from heads.export_graph import HeadGraph, PairGraph
from heads.store import TrainedHead
from pipeline.inference.feature_sources import FeatureSet


class EmbeddingGraph(nn.Module):
    """(B, 3, H, W) uint8 -> (B, E) float32: `Predictor.embed`."""

    def __init__(self, feature_set: FeatureSet, trained: TrainedHead) -> None:
        super().__init__()
        self.features, self.head = feature_graph(feature_set), HeadGraph(trained)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class SimilarityGraph(nn.Module):
    """B pairs (B, 3, H, W), (B, 3, H', W') uint8 -> (B,) float32: `Predictor.similarity`, pair by pair."""

    def __init__(self, feature_set: FeatureSet, trained: TrainedHead) -> None:
        super().__init__()
        self.features, self.head = feature_graph(feature_set), PairGraph(trained)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(self.features(left), self.features(right))


def feature_graph(feature_set: FeatureSet) -> nn.Module:
    """(B, 3, H, W) uint8 -> (B, D) float32. The networks of `feature_set` must be float32, as they are loaded."""
    if len(feature_set.parts) == 1:
        return FeatureGraph(feature_set.parts[0].network)
    first, second = (FeatureGraph(part.network) for part in feature_set.parts)
    return ConcatGraph((first, second), feature_set.weights)

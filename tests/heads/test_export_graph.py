"""The graph of a head against the way the pipeline uses it, for every kind of head."""

import pytest
import torch
from seeded_heads import seeded_heads

from heads.calibration import Calibration
from heads.embeddings import embed, similarity_matrix
from heads.export_graph import HeadGraph, PairGraph
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.store import TrainedHead

KINDS = [
    {"model": "identity"},
    {"model": "linear", "dim": 4},
    {"model": "linear", "distance": "euclidean"},
    {"model": "mlp", "hidden": [5], "dropout": 0.5},
    {"model": "residual", "hidden": [5], "cosine_weight": 0.3, "transform": "whiten"},
    {"model": "pseudo_class", "hidden": [5], "dim": 3, "loss": "bce"},
    {"model": "pair_bc", "classifier": [5], "loss": "bce", "transform": "center"},
    {"model": "pair_mlp", "hidden": [5], "dim": 4, "classifier": [5], "loss": "bce"},
    {"model": "distance_logit", "dim": 4, "loss": "bce"},
]


def make_trained(seeds: int, kind: dict) -> tuple[TrainedHead, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(7, 6, generator=draw)
    settings = HeadSettings.model_validate({"features": "any", "seeds": seeds, "dim": None} | kind)
    transform = fit_transform(settings.transform, features)
    about = {"features_sha256": "", "images_hash": "", "protocol_sha256": ""}
    calibration = Calibration(threshold=0.0, slope=1.0, intercept=0.0)
    trained = TrainedHead(
        settings=settings,
        width=6,
        groups=4,
        transform=transform,
        heads=seeded_heads(settings, 6, train=features, groups=4, std=0.3),
        thresholds=[0.0] * seeds,
        calibration=calibration,
        best_epochs=[0] * seeds,
        **about,
    )
    return trained, features


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_graphs_say_what_the_pipeline_says(seeds, kind):
    trained, features = make_trained(seeds, kind)
    embeddings = embed(trained, features)
    wanted = similarity_matrix(trained, embeddings[:4], embeddings[3:]).diagonal()
    with torch.no_grad():
        torch.testing.assert_close(HeadGraph(trained)(features), embeddings)
        torch.testing.assert_close(PairGraph(trained)(features[:4], features[3:]), wanted, atol=1e-5, rtol=1e-4)

"""Neighbours in the order of a re-ranking, with the similarities of the head."""

import numpy as np
import pytest
import torch
from seeded_heads import seeded_heads

from heads.calibration import Calibration
from heads.embeddings import embed, similarity_matrix
from heads.errors import HeadError
from heads.models.transforms import fit_transform
from heads.reranking.csls import csls
from heads.reranking.neighbours import reranked_knn
from heads.settings import HeadSettings
from heads.similarity import Similarity
from heads.store import TrainedHead


@pytest.fixture
def trained() -> TrainedHead:
    settings = HeadSettings(features="x", seeds=2, dim=3)
    x = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    return TrainedHead(
        settings=settings,
        width=8,
        groups=4,
        transform=fit_transform("l2", x),
        heads=seeded_heads(settings, 8, train=x, groups=4, std=0.3),
        thresholds=[0.0] * 2,
        calibration=Calibration(0.0, 1.0, 0.0),
        best_epochs=[1] * 2,
        features_sha256="f",
        images_hash="i",
        protocol_sha256="p",
    )


@pytest.mark.parametrize("block", [1, 60, 2**20])
def test_order_of_the_correction_and_similarities_of_the_head(trained, block):
    embeddings = embed(trained, torch.randn(40, 8, generator=torch.Generator().manual_seed(1)))
    queries, gallery = embeddings[:12], embeddings[12:]
    plain = similarity_matrix(trained, queries, gallery)
    table = Similarity(block=lambda q, g: plain[q][:, g - 12], pairs=lambda a, b: plain[a, b - 12])
    corrected = csls(table, queries=np.arange(12), gallery=np.arange(12, 40))
    order = corrected.block(torch.arange(12), torch.arange(12, 40)).argsort(1, descending=True)
    similarities, rows = reranked_knn(trained, "csls", queries, gallery=gallery, k=5, block=block)
    assert torch.equal(rows, order[:, :5])
    torch.testing.assert_close(similarities, plain.gather(1, rows))
    assert not torch.equal(rows, plain.topk(5).indices)


def test_bad_input(trained):
    embeddings = embed(trained, torch.randn(10, 8))
    with pytest.raises(HeadError, match="k is 9"):
        reranked_knn(trained, "csls", embeddings[:2], gallery=embeddings[2:], k=9)
    with pytest.raises(HeadError, match="there are 1 and"):
        reranked_knn(trained, "csls", embeddings[:1], gallery=embeddings[2:], k=2)
    with pytest.raises(HeadError, match="known: csls"):
        reranked_knn(trained, "cls", embeddings[:2], gallery=embeddings[2:], k=2)

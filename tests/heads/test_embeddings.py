"""Heads in use: embeddings, their similarities and neighbours, against what scores compute."""

import numpy as np
import pytest
import torch
from seeded_heads import seeded_heads

from heads.calibration import Calibration
from heads.embeddings import cross_similarity, embed, is_cosine, similarity_matrix, similarity_pairs
from heads.errors import HeadError
from heads.knn import knn
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.store import TrainedHead

HEADS = {
    "linear": {"model": "linear", "dim": 5},
    "euclidean": {"model": "linear", "dim": 5, "distance": "euclidean"},
    "squared": {"model": "linear", "dim": 5, "distance": "squared_euclidean"},
    "kept": {"model": "mlp", "hidden": (4,), "cosine_weight": 0.5},
    "pseudo": {"model": "pseudo_class", "dim": 6, "loss": "bce"},
    "identity": {"model": "identity"},
    "pairs": {"model": "pair_bc", "classifier": (7,), "loss": "bce"},
    "membership": {"model": "membership", "cosine_weight": 0.5},
    "logit": {"model": "distance_logit", "dim": 4, "loss": "bce"},
}
COSINES = ["linear", "kept", "pseudo", "identity", "membership"]


def trained(**changes) -> TrainedHead:
    settings = HeadSettings(**{"features": "x", "seeds": 3, **changes})
    x = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    return TrainedHead(
        settings=settings,
        width=8,
        groups=4,
        transform=fit_transform("l2", x),
        heads=seeded_heads(settings, 8, train=x, groups=4, std=0.3),
        thresholds=[0.0] * 3,
        calibration=Calibration(0.0, 1.0, 0.0),
        best_epochs=[1] * 3,
        features_sha256="f",
        images_hash="i",
        protocol_sha256="p",
    )


@pytest.fixture
def features():
    return torch.randn(40, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("settings", HEADS.values(), ids=HEADS.keys())
def test_is_the_mean_of_what_scores_see_of_each_seed(settings, features):
    head = trained(**settings)
    rows = torch.arange(40)
    oracle = torch.stack([one.block(rows, rows) for one in head.similarities(features)]).mean(0)
    embeddings = embed(head, features)
    torch.testing.assert_close(similarity_matrix(head, embeddings[:3], embeddings), oracle[:3], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(
        similarity_matrix(head, embeddings[:3], embeddings[5:7]), oracle[:3, 5:7], atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("settings", HEADS.values(), ids=HEADS.keys())
def test_pairs_and_cross_similarity_are_entries_of_the_matrix(settings, features):
    head = trained(**settings)
    embeddings = embed(head, features)
    whole = similarity_matrix(head, embeddings, embeddings)
    pairs = similarity_pairs(head, embeddings[:5], embeddings[5:10])
    torch.testing.assert_close(pairs, whole[range(5), range(5, 10)], atol=1e-3, rtol=1e-4)
    cross = cross_similarity(head, embeddings[:5], embeddings[5:])
    q, g = torch.tensor([2, 4]), torch.tensor([5, 30])
    torch.testing.assert_close(cross.block(q, g), whole[q][:, g], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(cross.pairs(q, g), whole[q, g], atol=1e-3, rtol=1e-4)


def test_embeddings_of_cosine_heads_have_length_one(features):
    assert [name for name, one in HEADS.items() if is_cosine(trained(**one))] == COSINES
    for name in COSINES:
        torch.testing.assert_close(embed(trained(**HEADS[name]), features).norm(dim=1), torch.ones(40))


def test_without_parameters_seeds_are_one():
    assert embed(trained(model="identity"), torch.randn(2, 8)).shape == (2, 8)
    assert embed(trained(model="linear"), torch.randn(2, 8)).shape == (2, 24)
    assert embed(trained(model="linear"), torch.empty(0, 8)).shape == (0, 24)


@pytest.mark.parametrize("settings", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("block", [6, 15, 2**24])
def test_nearest_is_a_full_sort(settings, block, features):
    head = trained(**settings)
    embeddings = embed(head, features)
    scores, rows = knn(head, embeddings[:3], gallery=embeddings, k=7, block=block)
    everything = similarity_matrix(head, embeddings[:3], embeddings)
    torch.testing.assert_close(scores, everything.sort(1, descending=True).values[:, :7], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(everything.gather(1, rows), scores, atol=2e-3, rtol=1e-3)
    assert all(len(set(row)) == 7 for row in rows.tolist())


def test_k_up_to_the_whole_gallery(features):
    head = trained()
    embeddings = embed(head, features)
    _, rows = knn(head, embeddings[:1], gallery=embeddings, k=40, block=7)
    assert sorted(rows[0].tolist()) == list(range(40))
    for k in (0, 41):
        with pytest.raises(HeadError, match=f"k is {k}, but the gallery has 40 rows"):
            knn(head, embeddings[:1], gallery=embeddings, k=k)


def test_not_a_number_is_no_neighbour(features):
    head = trained()
    embeddings = embed(head, features).clone()
    embeddings[5, 0] = np.nan
    with pytest.raises(HeadError, match="a similarity is not finite"):
        knn(head, embeddings[:1], gallery=embeddings, k=3)

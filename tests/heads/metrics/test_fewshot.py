import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.metrics.fewshot import episode_accuracy
from heads.similarity import Similarity, embedding_similarity


@pytest.mark.parametrize("shots", [1, 5])
def test_equals_a_loop(shots):
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.integers(4, size=(60, 60)).astype(np.float32))  # many ties
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    supports = rng.integers(60, size=(7, 4, shots))
    queries, truth = rng.integers(60, size=(7, 9)), rng.integers(4, size=(7, 9))
    got = episode_accuracy(similarity, supports, queries=queries, truth=truth)
    for episode in range(7):
        points = []
        for q, right in zip(queries[episode], truth[episode], strict=True):
            votes = [np.mean([float(scores[q, s]) for s in supports[episode, way]]) for way in range(4)]
            winners = [way for way in range(4) if votes[way] == max(votes)]
            points.append((right in winners) / len(winners))
        assert got[episode] == pytest.approx(np.mean(points))


def test_equal_images_are_found_and_a_constant_is_chance():
    same = embedding_similarity(torch.eye(5).repeat(2, 1))
    supports = np.arange(5)[None, :, None]
    assert episode_accuracy(same, supports, queries=np.arange(5, 10)[None], truth=np.arange(5)[None]) == 1
    constant = embedding_similarity(torch.ones(10, 3))
    got = episode_accuracy(constant, supports, queries=np.arange(5, 10)[None], truth=np.arange(5)[None])
    assert got == pytest.approx(1 / 5)


def test_of_many_ways_no_pair_is_gathered():
    """90 ways with 5 queries each are 40,500 pairs per episode: row by row they took a quarter of an hour."""

    def row_by_row(a, b):
        raise AssertionError("similarities row by row")

    scores = torch.eye(10).repeat(1, 9)
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=row_by_row)
    supports = np.arange(90)[None, :, None].repeat(60, 0)
    queries = np.arange(10)[None].repeat(60, 0)
    assert episode_accuracy(similarity, supports, queries=queries, truth=queries) == pytest.approx(np.full(60, 1 / 9))
    with pytest.raises(HeadError, match="finite"):
        nan = Similarity(block=lambda q, g: torch.full((len(q), len(g)), torch.nan), pairs=row_by_row)
        episode_accuracy(nan, supports, queries=queries, truth=queries)

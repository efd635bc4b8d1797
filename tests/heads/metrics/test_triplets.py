import numpy as np
import torch

from heads.metrics.triplets import triplet_hits
from heads.similarity import Similarity, embedding_similarity


def test_equals_a_loop_and_ties_are_a_half():
    embeddings = torch.randint(-1, 2, (20, 2), generator=torch.Generator().manual_seed(0)).float() + 0.5
    similarity = embedding_similarity(embeddings, "euclidean")
    rng = np.random.default_rng(0)
    anchors, positives, negatives = rng.integers(20, size=(3, 200))
    got = triplet_hits(similarity, anchors, positives=positives, negatives=negatives)
    for hit, a, p, n in zip(got, anchors, positives, negatives, strict=True):
        near, far = (float(torch.linalg.vector_norm(embeddings[a] - embeddings[other])) for other in (p, n))
        assert hit == (1 if near < far else 0 if near > far else 0.5)
    assert set(got) == {0, 0.5, 1}


def test_a_constant_similarity_is_chance():
    constant = Similarity(block=lambda q, g: torch.zeros(len(q), len(g)), pairs=lambda a, b: torch.zeros(len(a)))
    assert triplet_hits(constant, [0, 1], positives=[1, 2], negatives=[2, 3]).tolist() == [0.5, 0.5]

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.neighbors import KNeighborsClassifier

from heads.errors import HeadError
from heads.metrics.classification import ConfusedPair, knn_predict, most_confused
from heads.similarity import Similarity, embedding_similarity


@pytest.mark.parametrize("k", [1, 5])
def test_votes_equal_sklearn_where_no_votes_tie(k):
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=200)  # two groups, odd k: no ties
    embeddings = rng.normal(size=(200, 3)) + labels[:, None]
    model = KNeighborsClassifier(k).fit(embeddings[:150], labels[:150])
    similarity = embedding_similarity(torch.from_numpy(embeddings), "euclidean")
    got = knn_predict(similarity, labels, queries=np.arange(150, 200), gallery=np.arange(150), k=k)
    np.testing.assert_array_equal(got, model.predict(embeddings[150:]))


def test_a_query_is_not_its_own_neighbour_and_equal_votes_go_to_the_nearer_group():
    scores = torch.tensor([[9.0, 1, 4, 2, 3.5]])
    similarity = Similarity(block=lambda q, g: scores[q][:, g], pairs=lambda a, b: scores[a, b])
    labels = [7, 5, 5, 3, 3]
    assert knn_predict(similarity, labels, queries=[0], gallery=range(5), k=1).tolist() == [5]
    # two votes each: 1 + 4 for group 5, 2 + 3.5 for group 3
    assert knn_predict(similarity, labels, queries=[0], gallery=range(5), k=4).tolist() == [3]


def test_k_larger_than_the_gallery():
    similarity = embedding_similarity(torch.eye(5))
    with pytest.raises(HeadError, match=r"k is 5.*4 rows"):
        knn_predict(similarity, [0] * 5, queries=[0], gallery=range(5), k=5)


def test_most_confused_equals_the_matrix_of_sklearn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(6, size=(2, 300))
    matrix = metrics.confusion_matrix(truth, predicted)
    found = most_confused(truth, predicted, most=100)
    assert {(one.truth, one.predicted): one.count for one in found} == {
        (i, j): matrix[i, j] for i in range(6) for j in range(6) if i != j and matrix[i, j]
    }
    assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)


def test_most_confused():
    truth, predicted = [7, 7, 7, 7, 2, 2, 2, 9], [7, 2, 2, 2, 7, 7, 2, 2]
    assert most_confused(truth, predicted, most=2) == [ConfusedPair(7, 2, 3), ConfusedPair(2, 7, 2)]
    assert most_confused([1, 2], [1, 2]) == []

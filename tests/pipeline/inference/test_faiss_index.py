"""The FAISS index: what it finds is exact in value, and what it misses is measured."""

import numpy as np
import pytest
import torch
from usable import make_features, make_head, make_images, make_params

from heads.knn import knn
from pipeline import load_head
from pipeline.errors import ParamError
from pipeline.inference import faiss_index

pytestmark = pytest.mark.forward

pytest.importorskip("faiss")


@pytest.fixture
def head(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    make_images()
    params = make_params(**getattr(request, "param", {"dim": 8}))
    make_features(params)
    make_head(params)
    return load_head("artifacts/emoji/head")


def clustered(count: int, width: int) -> torch.Tensor:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(50, width))
    embeddings = centres[draw.integers(50, size=count)] + 0.5 * draw.normal(size=(count, width))
    return torch.from_numpy(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).float()


EUCLIDEAN = {"dim": 8, "distance": "euclidean"}


@pytest.mark.parametrize("head", [{"dim": 8}, EUCLIDEAN], indirect=True)
def test_recall_is_measured_against_exact_search(head, tmp_path):
    gallery = clustered(4000, 16)
    index = faiss_index.open_index(head, gallery, k=5, path=tmp_path / "i.faiss")
    assert faiss_index.ENOUGH <= index.recall <= 1 and 1 <= index.looked_into <= index.cells == 62
    queries = gallery[:200] + 0.01
    scores, rows = faiss_index.search(head, index, queries, gallery=gallery, k=5)
    exact_scores, exact = knn(head.trained, queries, gallery=gallery, k=5)
    found = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(rows.tolist(), exact.tolist(), strict=True)])
    assert abs(found - index.recall) < 0.05
    right = rows == exact
    torch.testing.assert_close(scores[right], exact_scores[right], atol=1e-3, rtol=1e-3)
    assert (scores[:, 0] >= scores[:, 1]).all()


def test_is_kept_with_what_was_measured(head, tmp_path, monkeypatch):
    gallery, path = clustered(1000, 16), tmp_path / "deep" / "i.faiss"
    first = faiss_index.open_index(head, gallery, k=5, path=path)
    monkeypatch.setattr(faiss_index, "_build", None)
    again = faiss_index.open_index(head, gallery, k=5, path=path)
    assert (again.cells, again.looked_into, again.recall) == (first.cells, first.looked_into, first.recall)
    assert faiss_index.open_index(head, gallery, k=9, path=path).recall >= faiss_index.ENOUGH
    monkeypatch.undo()
    path.write_bytes(b"half")
    assert faiss_index.open_index(head, gallery, k=5, path=path).recall == first.recall


def test_a_small_gallery_and_all_of_it(head, tmp_path):
    gallery = clustered(70, 16)
    index = faiss_index.open_index(head, gallery, k=69, path=tmp_path / "i.faiss")
    _, rows = faiss_index.search(head, index, gallery[:2], gallery=gallery, k=70)
    assert index.recall == 1 and sorted(rows[0].tolist()) == list(range(70))


@pytest.mark.parametrize("head", [{"dim": 8}, EUCLIDEAN], indirect=True)
def test_every_query_gets_its_k(head, tmp_path):
    """Cells of very different sizes: one of a few images beside one of thousands."""
    draw = torch.Generator().manual_seed(0)
    crowd = torch.nn.functional.normalize(
        torch.randn(16, generator=draw) + 0.01 * torch.randn(3000, 16, generator=draw)
    )
    alone = torch.nn.functional.normalize(-crowd[:1] + 0.3 * torch.randn(3, 16, generator=draw))
    gallery = torch.cat([crowd, alone])
    index = faiss_index.open_index(head, gallery, k=10, path=tmp_path / "i.faiss")
    index.faiss.nprobe = 1
    queries = torch.cat([crowd[:2], alone])
    scores, rows = faiss_index.search(head, index, queries, gallery=gallery, k=10)
    assert scores.shape == rows.shape == (5, 10)
    assert all(len(set(row)) == 10 for row in rows.tolist())
    assert (scores.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("head", [{"dim": 8}, EUCLIDEAN], indirect=True)
def test_any_of_equal_copies_is_found(head, tmp_path):
    gallery = clustered(20, 16).repeat_interleave(200, 0)
    index = faiss_index.open_index(head, gallery, k=10, path=tmp_path / "i.faiss")
    assert index.recall == 1
    scores, _ = faiss_index.search(head, index, gallery[:5], gallery=gallery, k=10)
    torch.testing.assert_close(scores, scores[:, :1].expand(-1, 10), atol=1e-3, rtol=0)


@pytest.mark.parametrize("head", [{"model": "pair_mlp", "loss": "bce"}], indirect=True)
def test_a_classifier_of_pairs_cannot_be_indexed(head, tmp_path):
    with pytest.raises(
        ParamError, match=r"^--index faiss: a classifier of pairs has no embeddings to index; use --index"
    ):
        faiss_index.open_index(head, clustered(100, 16), k=3, path=tmp_path / "i.faiss")


def test_without_faiss(head, tmp_path, monkeypatch):
    monkeypatch.setattr(faiss_index, "available", lambda: False)
    with pytest.raises(ParamError, match=r"faiss is not installed; pip install faiss-cpu, or use --index exact"):
        faiss_index.open_index(head, clustered(100, 16), k=3, path=tmp_path / "i.faiss")

"""The nearest images of a gallery to each query: exactly, or among what an index proposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data.files.atomic import sha256_bytes
from data.images.open_images import OpenedImage
from heads.knn import knn
from heads.reranking.neighbours import reranked_knn
from pipeline.errors import ParamError
from pipeline.inference import faiss_index
from pipeline.inference.predictor import Predictor
from pipeline.inference.search_index import Gallery, embeddings_path

Index = Literal["auto", "exact", "faiss"]
TIE = 5e-5  # of similarity, which is printed to four decimals
LARGE = 1_000_000  # images from which `auto` takes an index, where faiss is installed: exact takes 0.2 s on 2 cores


@dataclass(frozen=True)
class Neighbour:
    """`copy`: of the very bytes of the query."""

    rank: int
    name: str
    group: str | None
    similarity: float
    probability: float | None  # None where the threshold was not made for such queries: texts
    alike: bool | None
    copy: bool


@dataclass(frozen=True)
class SearchResult:
    queries: list[str]
    nearest: list[list[Neighbour]]  # best first
    rows: list[list[int]]  # of the gallery
    method: str  # exact, or what an index loses


@dataclass(frozen=True)
class Queries:
    """Q images or texts."""

    names: Sequence[str]
    embeddings: Tensor  # (Q, W), as the head compares them
    hashes: Sequence[str]  # (Q,) sha256 of the images' bytes; "" for texts
    calibrated: bool = True  # whether threshold and probability, chosen on pairs of images, hold


def image_queries(head: Predictor, images: Sequence[OpenedImage]) -> Queries:
    return Queries(
        names=[image.name for image in images],
        embeddings=head.embeddings_of(head.features_of([image.picture for image in images])),
        hashes=[sha256_bytes(image.content) for image in images],
    )


def search(
    head: Predictor, gallery: Gallery, queries: Queries, *, k: int, index: Index = "auto", reranking: str = "none"
) -> SearchResult:
    """The `k` nearest of `gallery` to each query; with `reranking` in an order that depends on all of them together.

    Raises:
        HeadError: k beyond the gallery, a similarity that is not finite, or a single query to re-rank.
        ParamError: an index that cannot be had.
    """
    embeddings, hashes, calibrated = queries.embeddings, queries.hashes, queries.calibrated
    if reranking == "none":
        scores, rows, method = _look_up(head, gallery, embeddings, k, index)
        rows = _itself_first(scores, rows, gallery.keys, hashes)
    elif index == "faiss":
        raise ParamError("--rerank compares with the whole gallery: use --index exact")
    else:
        scores, rows = reranked_knn(head.trained, reranking, embeddings, gallery=gallery.embeddings, k=k)
        method = f"exact, in the order of {reranking} over the {len(embeddings)} queries together"
    comparison = head.comparison_of(scores.cpu().numpy())
    found = [
        [
            Neighbour(
                rank=rank + 1,
                name=gallery.names[row],
                group=gallery.groups[row] if gallery.groups else None,
                similarity=round(float(comparison.similarity[query, rank]), 4),
                probability=round(float(comparison.probability[query, rank]), 4) if calibrated else None,
                alike=bool(comparison.alike[query, rank]) if calibrated else None,
                copy=gallery.keys[row] == hashes[query],
            )
            for rank, row in enumerate(chosen)
        ]
        for query, chosen in enumerate(rows.tolist())
    ]
    return SearchResult(list(queries.names), found, rows.tolist(), method)


def _itself_first(scores: Tensor, rows: Tensor, keys: Sequence[str], hashes: Sequence[str]) -> Tensor:
    """`rows` (Q, k) with the image of the query's own bytes in front, where it ties with the best.

    Data sets hold images of equal pixels in different files; the order among those is otherwise arbitrary.
    """
    wanted = set(hashes)
    own = {key: row for row, key in enumerate(keys) if key in wanted}
    ordered = rows.tolist()
    for chosen, similarity, sha256 in zip(ordered, scores.tolist(), hashes, strict=True):
        row, tied = own.get(sha256), sum(value >= similarity[0] - TIE for value in similarity)
        if keys[chosen[0]] == sha256:
            continue
        if row in chosen[:tied]:
            chosen.remove(row)
            chosen.insert(0, row)
        elif row is not None and row not in chosen and tied == len(chosen):  # more of them than k
            chosen[:] = [row, *chosen[:-1]]
    return torch.tensor(ordered, device=rows.device)


def _look_up(head: Predictor, gallery: Gallery, queries: Tensor, k: int, index: Index) -> tuple[Tensor, Tensor, str]:
    large = len(gallery) >= LARGE and head.trained.embeds
    if index == "faiss" or (index == "auto" and large and faiss_index.available()):
        built = faiss_index.open_index(
            head, gallery.embeddings, k=k, path=embeddings_path(gallery.key).with_suffix(".faiss")
        )
        scores, rows = faiss_index.search(head, built, queries, gallery=gallery.embeddings, k=k)
        probed = f"{built.looked_into} of {built.cells} cells"
        return scores, rows, f"FAISS, {probed}; recall@{k} {built.recall:.3f} against exact search"
    scores, rows = knn(head.trained, queries, gallery=gallery.embeddings, k=k)
    return scores, rows, "exact; pip install faiss-cpu makes it faster" if index == "auto" and large else "exact"

"""A FAISS index for galleries where looking at every image takes too long; its recall is measured and printed.

Jégou, Douze, Schmid 2011: the gallery is cut into cells, and a query looks into the nearest few; their images are
candidates, which are ranked by exact similarity.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.atomic import write_bytes
from data.files.sealed_files import is_whole, sealed_file
from features.storage.sealed_json import seal, unseal
from heads.embeddings import is_cosine
from heads.knn import knn
from pipeline.errors import ParamError
from pipeline.inference.keep import keep
from pipeline.inference.predictor import Predictor

if TYPE_CHECKING:
    from faiss import IndexIVF

SAMPLE = 100  # gallery images that recall is measured with, each without itself
ENOUGH = 0.95  # recall at which no more cells are looked into
PROPOSED = 10  # times k
PER_CELL = 64  # images per cell that cells are learned from
ROUNDING = {"cosine": 1e-5, "euclidean": 1e-3}  # of a similarity: a small distance is the root of a difference


@dataclass(frozen=True)
class Index:
    faiss: "IndexIVF"
    cells: int
    looked_into: int
    recall: float  # at k, against exact search


def available() -> bool:
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def open_index(head: Predictor, gallery: Tensor, *, k: int, path: Path) -> Index:
    """The index of embeddings `gallery` (G, W) at `path`, built where there is none yet.

    Raises:
        ParamError: faiss is not installed, or the head classifies pairs: it has no space to index.
    """
    if not head.trained.embeds:
        raise ParamError("--index faiss: a classifier of pairs has no embeddings to index; use --index exact")
    if not available():
        raise ParamError("--index faiss: faiss is not installed; pip install faiss-cpu, or use --index exact")
    import faiss

    embeddings, about = gallery.cpu().numpy(), path.with_suffix(".json")
    measured: dict[str, Any]
    try:
        if not is_whole(path):
            raise ValueError
        index, measured = cast("IndexIVF", faiss.read_index(str(path))), unseal(about.read_bytes())
    except (OSError, ValueError):  # none yet, or damaged
        index, measured = _build(head, embeddings), {"recall": {}}
        keep(lambda: _save(path, faiss.serialize_index(index).tobytes()))
    if str(k) not in measured["recall"]:
        recall = _tune(head, index, gallery, k, start=measured.get("looked_into", 1))
        measured = {"looked_into": index.nprobe, "recall": measured["recall"] | {str(k): recall}}
        keep(lambda: write_bytes(about, seal(measured)))
    index.nprobe = measured["looked_into"]
    return Index(index, index.nlist, index.nprobe, measured["recall"][str(k)])


def _save(path: Path, content: bytes) -> None:
    with sealed_file(path) as file:
        file.write(content)


def search(head: Predictor, index: Index, queries: Tensor, *, gallery: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `heads.knn.knn`, among the rows that the index proposes: every query gets its k.

    Raises:
        HeadError: k beyond the gallery.
    """
    scores, places = [], []
    for query, rows in zip(queries, _propose(index.faiss, queries.cpu().numpy(), k), strict=True):
        score, place = knn(head.trained, query[None], gallery=gallery[rows], k=k)
        scores.append(score)
        places.append(rows.to(place.device)[place])
    return torch.cat(scores), torch.cat(places)


def _build(head: Predictor, embeddings: NDArray[np.float32]) -> "IndexIVF":
    import faiss

    cells = max(1, min(round(4 * len(embeddings) ** 0.5), len(embeddings) // PER_CELL))
    metric = faiss.METRIC_INNER_PRODUCT if is_cosine(head.trained) else faiss.METRIC_L2
    index = cast("IndexIVF", faiss.index_factory(embeddings.shape[1], f"IVF{cells},SQfp16", metric))
    learned = np.random.default_rng(0).permutation(len(embeddings))[: PER_CELL * cells]
    index.train(embeddings[np.sort(learned)])
    for start in range(0, len(embeddings), 65_536):
        index.add(embeddings[start : start + 65_536])
    return index


def _tune(head: Predictor, index: "IndexIVF", gallery: Tensor, k: int, *, start: int) -> float:
    """Look into twice as many cells until recall is `ENOUGH`; sets index.nprobe and returns the recall."""
    sample = np.sort(np.random.default_rng(1).permutation(len(gallery))[:SAMPLE])
    queries, most = gallery[torch.from_numpy(sample)], min(k + 1, len(gallery))
    exact = knn(head.trained, queries, gallery=gallery, k=most)[0]
    index.nprobe = start
    while True:
        found = search(head, Index(index, index.nlist, index.nprobe, 0.0), queries, gallery=gallery, k=most)[0]
        recall = _recall(exact, found, rounding=ROUNDING["cosine" if is_cosine(head.trained) else "euclidean"])
        if recall >= ENOUGH or index.nprobe >= index.nlist:
            return recall
        index.nprobe = min(2 * index.nprobe, index.nlist)


def _recall(exact: Tensor, found: Tensor, *, rounding: float) -> float:
    """The share of neighbours found, by their similarities (Q, k + 1), best first: of equal copies any is as good.

    The query itself is in the gallery; it is found always, and not counted.
    """
    worst = exact[:, -1:]
    near = found >= worst - rounding * worst.abs().clamp(min=1)
    return float((near.sum(1) - 1).float().mean() / max(1, exact.shape[1] - 1))


def _propose(index: "IndexIVF", queries: NDArray[np.float32], k: int) -> list[Tensor]:
    """Ascending rows for each query, at least `k`: where its cells hold fewer, more cells are looked into."""
    proposed: list[Tensor] = [torch.empty(0, dtype=torch.int64)] * len(queries)
    waiting, first = np.arange(len(queries)), index.nprobe
    try:
        while len(waiting):
            # nprobe rather than `params`: once pytorch-metric-learning is imported, faiss's search takes no `params`.
            _, rows = index.search(queries[waiting], min(PROPOSED * k, index.ntotal))
            for query, row in zip(waiting, rows, strict=True):
                proposed[query] = torch.from_numpy(np.sort(row[row >= 0]))
            if index.nprobe >= index.nlist:
                break
            waiting, index.nprobe = waiting[(rows >= 0).sum(1) < k], min(2 * index.nprobe, index.nlist)
    finally:
        index.nprobe = first
    return proposed

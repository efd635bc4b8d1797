"""A FAISS index for galleries where looking at every image takes too long; what it loses is measured and said.

Jégou, Douze, Schmid 2011: the gallery is cut into cells, and a query looks into the nearest few. They propose, exact
similarities of what they propose decide.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.files.atomic import write_bytes
from heads.embeddings import is_cosine
from heads.knn import knn
from pipeline.errors import ParamError
from pipeline.inference.predictor import ImageHead

SAMPLE = 100  # gallery images that recall is measured with, each without itself
ENOUGH = 0.95  # recall at which no more cells are looked into
PROPOSED = 10  # times k
PER_CELL = 64  # images a cell that cells are learned from


@dataclass(frozen=True)
class Index:
    faiss: "faiss.Index"  # noqa: F821
    cells: int
    looked_into: int
    recall: float  # at k, against exact search


def available() -> bool:
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def open_index(head: ImageHead, gallery: Tensor, *, k: int, path: Path) -> Index:
    """The index of codes `gallery` (G, W) at `path`, built where there is none yet.

    Raises:
        ParamError: faiss is not installed, or the head classifies pairs: it has no space to index.
    """
    if not head.trained.head.embeds:
        raise ParamError("--index faiss: a classifier of pairs has no embeddings to index; use --index exact")
    if not available():
        raise ParamError("--index faiss: faiss is not installed; pip install faiss-cpu, or use --index exact")
    import faiss

    codes, about = gallery.cpu().numpy(), path.with_suffix(".json")
    try:
        index, told = faiss.read_index(str(path)), json.loads(about.read_text())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: faiss's word for no file or a damaged one
        index, told = _build(head, codes), {"recall": {}}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, faiss.serialize_index(index).tobytes())
    if str(k) not in told["recall"]:
        recall = _tune(head, index, gallery, k, start=told.get("looked_into", 1))
        told = {"looked_into": index.nprobe, "recall": told["recall"] | {str(k): recall}}
        write_bytes(about, json.dumps(told).encode())
    index.nprobe = told["looked_into"]
    return Index(index, index.nlist, index.nprobe, told["recall"][str(k)])


def search(head: ImageHead, index: Index, queries: Tensor, *, gallery: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `heads.knn.knn`, among the rows that the index proposes."""
    proposed = _propose(index.faiss, queries.cpu().numpy(), k)
    found = [
        knn(head.trained, query[None], gallery=gallery[rows], k=min(k, len(rows)))
        for query, rows in zip(queries, proposed, strict=True)
    ]
    scores = [part for part, _ in found]
    places = [rows.to(place.device)[place] for (_, place), rows in zip(found, proposed, strict=True)]
    short = min(part.shape[1] for part in scores)  # cells may hold fewer than k
    return torch.cat([part[:, :short] for part in scores]), torch.cat([part[:, :short] for part in places])


def _build(head: ImageHead, codes: NDArray[np.float32]) -> "faiss.Index":  # noqa: F821
    import faiss

    cells = max(1, min(round(4 * len(codes) ** 0.5), len(codes) // PER_CELL))
    metric = faiss.METRIC_INNER_PRODUCT if is_cosine(head.trained) else faiss.METRIC_L2
    index = faiss.index_factory(codes.shape[1], f"IVF{cells},SQfp16", metric)
    learned = np.random.default_rng(0).permutation(len(codes))[: PER_CELL * cells]
    index.train(codes[np.sort(learned)])
    for start in range(0, len(codes), 65_536):
        index.add(codes[start : start + 65_536])
    return index


def _tune(head: ImageHead, index: "faiss.Index", gallery: Tensor, k: int, *, start: int) -> float:  # noqa: F821
    """Look into twice as many cells until recall is `ENOUGH`; sets index.nprobe and returns the recall."""
    sample = np.sort(np.random.default_rng(1).permutation(len(gallery))[:SAMPLE])
    queries, most = gallery[torch.from_numpy(sample)], min(k + 1, len(gallery))
    exact = knn(head.trained, queries, gallery=gallery, k=most)[1].cpu().numpy()
    index.nprobe = start
    while True:
        found = search(head, Index(index, index.nlist, index.nprobe, 0.0), queries, gallery=gallery, k=most)[1]
        recall = float(np.mean([_share(*rows) for rows in zip(sample, exact, found.cpu().numpy(), strict=True)]))
        if recall >= ENOUGH or index.nprobe >= index.nlist:
            return recall
        index.nprobe = min(2 * index.nprobe, index.nlist)


def _share(query: int, exact: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Of the exact neighbours, the query itself not counted, how many were found."""
    wanted = set(exact.tolist()) - {query}
    return len(wanted & set(found.tolist())) / max(1, len(wanted))


def _propose(index: "faiss.Index", queries: NDArray[np.float32], k: int) -> list[Tensor]:  # noqa: F821
    _, rows = index.search(queries, min(PROPOSED * k, index.ntotal))
    return [torch.from_numpy(np.sort(row[row >= 0])) for row in rows]

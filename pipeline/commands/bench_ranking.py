"""`python -m pipeline bench ranking`: exact ranks of a large gallery against the bare matrix product beneath them."""

from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from heads.metrics.ranking import BLOCK, rank_queries
from heads.similarity import embedding_similarity
from pipeline.commands.bench_turns import median, peak, ratio, reset_peak, take_turns, write_table
from pipeline.devices import device

OUT = Path("benchmarks/ranking.csv")


def run(*, queries: int, gallery: int, width: int, repeats: int) -> None:
    write_table(OUT, [measure(random_embeddings(queries + gallery, width), queries, rounds=repeats)])


def measure(embeddings: Tensor, queries: int, *, rounds: int) -> dict[str, object]:
    """Ranks and product in turn on this machine's device; a row of the csv. `embeddings`: the queries, the gallery."""
    there, gallery = embeddings.to(device()), len(embeddings) - queries
    reset_peak()
    before = peak()
    seconds = take_turns(
        {
            "product": lambda: product(there[:queries], there[queries:]),
            "ranking": lambda: ranks(there, queries, most=queries),
        },
        rounds,
    )
    return {
        "queries": queries,
        "gallery": gallery,
        "width": embeddings.shape[1],
        "product_s": median(seconds, "product"),
        "ranking_s": median(seconds, "ranking"),
        "ratio": ratio(seconds, "ranking", "product"),
        "memory_mb": round((peak() - before) / 2**20),  # beyond the features
    }


def random_embeddings(count: int, width: int) -> Tensor:
    return normalize(torch.randn(count, width, generator=Generator().manual_seed(0)))


def ranks(embeddings: Tensor, queries: int, *, most: int) -> np.ndarray:
    """Of the match of each of the first `most` queries: how many gallery rows are more similar. One match each."""
    rows, gallery = np.arange(len(embeddings)), len(embeddings) - queries
    labels = np.concatenate([np.arange(queries), np.arange(gallery)])
    similarity = embedding_similarity(embeddings)
    return rank_queries(similarity, labels, queries=rows[:most], gallery=rows[queries:]).higher


def product(queries: Tensor, gallery: Tensor) -> None:
    for block in queries.split(max(1, BLOCK // len(gallery))):
        torch.mm(block, gallery.T)

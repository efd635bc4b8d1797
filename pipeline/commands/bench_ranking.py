"""`python -m pipeline bench ranking`: exact ranks of a large gallery against the bare matrix product beneath them.

Wall seconds count on a quiet machine; `cpu_ratio` is of processor seconds, which other work disturbs less.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from heads.metrics.ranking import BLOCK, rank_queries
from heads.similarity import embedding_similarity
from pipeline.machine import machine, peak_bytes, write_rows

OUT = Path("benchmarks/ranking.csv")


def run(*, queries: int, gallery: int, width: int, repeats: int) -> None:
    """Time both in turn, keep the best of `repeats` of each, write one row and print it."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(queries + gallery, width, generator=generator)
    codes = np.concatenate([np.arange(queries), np.arange(gallery)])  # one match each
    rows = np.arange(queries + gallery)
    similarity = embedding_similarity(embeddings)
    unit = torch.nn.functional.normalize(embeddings)
    before = peak_bytes()
    products, rankings = [], []
    for _ in range(repeats):
        rankings.append(
            _seconds(lambda: rank_queries(similarity, codes, queries=rows[:queries], gallery=rows[queries:]))
        )
        products.append(_seconds(lambda: product(unit[:queries], unit[queries:])))
    row = {
        "queries": queries,
        "gallery": gallery,
        "width": width,
        "product_s": round(min(products)[0], 2),
        "ranking_s": round(min(rankings)[0], 2),
        "ratio": round(min(rankings)[0] / min(products)[0], 3),
        "cpu_ratio": round(min(cpu for _, cpu in rankings) / min(cpu for _, cpu in products), 3),
        "memory_mb": round((peak_bytes() - before) / 2**20),
        "threads": torch.get_num_threads(),
        "machine": machine(),
        "torch": torch.__version__,
    }
    write_rows(OUT, [row])
    print(
        f"{queries:,} queries x {gallery:,} rows of width {width}: product {row['product_s']} s, ranks "
        f"{row['ranking_s']} s ({row['ratio']}x; {row['cpu_ratio']}x in processor time), "
        f"{row['memory_mb']} MB beyond the features -> {OUT}"
    )


def product(queries: torch.Tensor, gallery: torch.Tensor) -> None:
    for block in queries.split(max(1, BLOCK // len(gallery))):
        torch.mm(block, gallery.T)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu

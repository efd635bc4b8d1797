"""The report's galleries: queries gained and lost against the baseline, and those with the best and worst margins."""

import base64
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from data.tables.rows import Rows
from heads.metrics.evaluation import Subset
from heads.metrics.mcnemar import mcnemar
from heads.similarity import Similarity
from pipeline.report.examples import Example, Picture, examples
from pipeline.report.load_run import Loaded


def galleries(
    found: Loaded, subsets: dict[str, Subset], *, head: Similarity, baseline: Similarity, most: int
) -> list[dict[str, Any]]:
    """At most `most` queries of each kind, evenly from the subsets, as the page shows them."""
    chosen: dict[str, list[Example]] = {kind: [] for kind in ("gained", "lost", "surest", "worst")}
    totals = {"gained": 0, "lost": 0}
    thumbs = found.folder / "rows.parquet"
    top2 = _hits(found)
    for subset in subsets.values():
        queries = subset.queries[np.isin(found.rows.id[subset.queries], list(top2["head"]))]
        ids = found.rows.id[queries]
        flips = mcnemar([top2["baseline"][name] for name in ids], [top2["head"][name] for name in ids])
        order = np.argsort(-_leads(head, queries, subset.gallery, found.rows.labels), kind="stable")
        places = {"gained": flips.gained, "lost": flips.lost, "surest": order, "worst": order[::-1]}
        for kind, found_places in places.items():
            if kind in totals:
                totals[kind] += len(found_places)
            picked = queries[found_places[: max(1, most // len(subsets))]]
            chosen[kind] += examples(picked, subset=subset, sides=(head, baseline), rows=found.rows, thumbs=thumbs)
    captions = {
        "gained": f"{totals['gained']:,} queries hit at 2 by the head, missed by the baseline; largest change first.",
        "lost": f"{totals['lost']:,} queries hit at 2 by the baseline, missed by the head.",
        "surest": "Queries whose match leads the best other image by most.",
        "worst": "Queries whose match is furthest behind.",
    }
    sides = " Query; best five by the head (first seed); best five by the baseline. Positives are framed."
    return [
        {
            "title": kind.capitalize(),
            "caption": captions[kind] + sides,
            "examples": [_shown(example, found.rows) for example in chosen[kind]],
        }
        for kind in chosen
    ]


def _hits(found: Loaded) -> dict[str, dict[str, float]]:
    """model -> id -> hit rate at 2, mean over seeds; as evaluate wrote it."""
    table = pq.read_table(found.folder / "scores" / "queries.parquet", columns=["model", "id", "top2"]).to_pydict()
    sums: dict[str, dict[str, list[float]]] = {"head": {}, "baseline": {}}
    for model, name, hit in zip(table["model"], table["id"], table["top2"], strict=True):
        sums[model].setdefault(name, []).append(hit)
    return {model: {name: float(np.mean(hits)) for name, hits in by_id.items()} for model, by_id in sums.items()}


@torch.no_grad()
def _leads(similarity: Similarity, queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(Q,) how far the best match is ahead of the best other gallery row."""
    leads = []
    columns = torch.from_numpy(gallery)
    for rows in np.array_split(queries, max(1, len(queries) * len(gallery) // 2**24)):
        scores = similarity.block(torch.from_numpy(rows), columns).float().cpu().numpy()
        same, own = codes[rows][:, None] == codes[gallery], rows[:, None] == gallery
        leads.append(np.where(same & ~own, scores, -np.inf).max(1) - np.where(same, -np.inf, scores).max(1))
    return np.concatenate(leads)


def _shown(example: Example, rows: Rows) -> dict[str, Any]:
    def picture(one: Picture) -> dict[str, Any]:
        return {"src": data_url(one.thumb, "jpeg"), "id": rows.id[one.row], "match": one.match}

    return {
        "query": picture(example.query),
        "rank": example.rank,
        "baseline_rank": example.baseline_rank,
        "nearest": [picture(one) for one in example.nearest],
        "baseline_nearest": [picture(one) for one in example.baseline_nearest],
    }


def data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

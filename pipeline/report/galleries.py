"""The report's galleries: queries gained and lost against the baseline, and those with the best and worst margins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from data.images.decode import decode
from data.tables.rows import Rows, read_images
from features.errors import FeatureError
from heads.metrics.evaluation import Subset
from heads.metrics.mcnemar import mcnemar
from heads.similarity import Similarity
from pipeline.display_names import display_name
from pipeline.inference.data_urls import data_url, image_url
from pipeline.report.examples import Example, Thumbnail, examples
from pipeline.report.load_run import TrainedRun
from pipeline.runs.query_scores import parse_queries

WHY_SIDE = 148  # pixels of a heat map, shown at half of it
Why = Callable[[Example], list[str]]  # data URLs of two heat maps; none where there is no map


def galleries(
    run: TrainedRun, subsets: dict[str, Subset], *, sides: tuple[Similarity, Similarity], most: int
) -> list[dict[str, Any]]:
    """At most `most` queries of each kind, evenly from the subsets, as the page shows them. `sides`: head, baseline."""
    chosen: dict[str, list[Example]] = {kind: [] for kind in ("gained", "lost", "surest", "worst")}
    totals = dict.fromkeys(chosen, 0)
    top2 = _hits(run)
    for subset in subsets.values():
        queries = subset.queries[np.isin(run.rows.id[subset.queries], list(top2["head"]))]
        ids = run.rows.id[queries]
        flips = mcnemar([top2["baseline"][name] for name in ids], [top2["head"][name] for name in ids])
        order = np.argsort(-_leads(sides[0], queries, subset.gallery, run.rows.labels), kind="stable")
        for kind, places in {"gained": flips.gained, "lost": flips.lost, "surest": order, "worst": order[::-1]}.items():
            totals[kind] += len(places)
            picked = queries[places[: max(1, most // len(subsets))]]
            thumbs = run.folder / "rows.parquet"
            chosen[kind] += examples(picked, subset=subset, sides=sides, rows=run.rows, thumbs=thumbs)
    captions = {
        "gained": f"{totals['gained']:,} queries are hits by the head and not by the baseline. Largest change first.",
        "lost": f"{totals['lost']:,} queries are hits by the baseline and not by the head. Largest change first.",
        "surest": "Queries whose match is furthest ahead of the best other image.",
        "worst": "Queries whose match is furthest behind the best other image.",
    }
    lists = run.protocol.candidates
    size = f" of {lists.candidates.shape[1]}" if lists is not None else ""
    hit = f" A hit: the match is more likely than not among the best 2 of a random list{size}, mean over seeds."
    ranks = f" Ranks and neighbours are in the whole gallery of {max(len(s.gallery) for s in subsets.values()):,}"
    ranks += ", by the first seed. Matches are framed."
    why = _why(run)
    return [
        {
            "title": kind.capitalize(),
            "caption": captions[kind] + (hit if kind in ("gained", "lost") else "") + ranks,
            "examples": [_as_shown(example, run.rows, run.protocol.dataset, why) for example in found],
        }
        for kind, found in chosen.items()
    ]


def _hits(run: TrainedRun) -> dict[str, dict[str, float]]:
    """model -> id -> hit rate at 2, mean over seeds; as evaluate wrote it."""
    content = (run.folder / "scores" / "queries.parquet").read_bytes()
    models = {model: parse_queries(content, name=run.title, model=model) for model in ("head", "baseline")}
    return {
        model: dict(zip(found.ids.tolist(), found.scores["top2"].mean(0).tolist(), strict=True))
        for model, found in models.items()
    }


@torch.no_grad()
def _leads(similarity: Similarity, queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(Q,) how far the best match is ahead of the best other gallery row."""
    leads = []
    columns = torch.from_numpy(gallery)
    for rows in np.array_split(queries, max(1, len(queries) * len(gallery) // 2**24)):
        scores = similarity.block(torch.from_numpy(rows), columns).float().cpu().numpy()
        same, own = labels[rows][:, None] == labels[gallery], rows[:, None] == gallery
        leads.append(np.where(same & ~own, scores, -np.inf).max(1) - np.where(same, -np.inf, scores).max(1))
    return np.concatenate(leads)


def _why(run: TrainedRun) -> Why:
    """Heat maps of a query and the head's first image, where its networks are here and one of them gives a map."""
    from pipeline.inference.agreement import local_features  # networks: only here
    from pipeline.inference.feature_sources import find_networks

    name = run.trained.settings.features
    try:
        networks = find_networks(run.folder / "features", name, npy_sha256=run.trained.features_sha256)
    except FeatureError:
        return lambda example: []
    local = local_features(networks, device=run.inputs.device)
    images = run.folder / "images.parquet"
    if local is None:
        return lambda example: []

    def heat_maps(example: Example) -> list[str]:
        contents = [
            read_images(images, np.array([one.row]))[0] if images.exists() else one.content
            for one in (example.query, example.nearest[0])
        ]
        maps = local.heat_maps(*(decode(content) for content in contents))
        return [image_url(picture.resize((WHY_SIDE, WHY_SIDE))) for picture in maps]

    return heat_maps


def _as_shown(example: Example, rows: Rows, dataset: str, why: Why) -> dict[str, Any]:
    def picture(one: Thumbnail) -> dict[str, Any]:
        name = rows.id[one.row]
        return {"src": data_url(one.content), "id": name, "name": display_name(name, dataset), "match": one.match}

    return {
        "query": picture(example.query),
        "rank": example.rank,
        "baseline_rank": example.baseline_rank,
        "nearest": [picture(one) for one in example.nearest],
        "baseline_nearest": [picture(one) for one in example.baseline_nearest],
        "why": why(example),
    }

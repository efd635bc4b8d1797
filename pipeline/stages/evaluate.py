"""`evaluate`: head, features and frozen lists -> metrics.json, plots, per-query scores and a gallery."""

import json
from pathlib import Path

import numpy as np
import torch

from data.files.atomic import write_bytes
from data.tables.protocol import Protocol
from data.tables.rows import Rows
from heads.errors import HeadError
from heads.metrics.baselines import baseline_similarity, constant_similarity, random_projection_similarity
from heads.metrics.evaluation import Evaluation, Subset, evaluate_subset
from heads.metrics.pairs import score_pairs
from heads.metrics.score_table import RunEvaluations, score_table
from heads.metrics.summary import summarize
from heads.similarity import Similarity
from heads.store import TrainedHead, head_sha256
from heads.threshold import calibrate_threshold
from pipeline.params import Params
from pipeline.report import score_tables
from pipeline.report.console import console_table
from pipeline.report.contact_sheet import GallerySection, draw_gallery
from pipeline.report.examples import examples, gained_and_lost
from pipeline.report.load_run import load_run
from pipeline.report.subsets import test_subsets

METRICS = Path("metrics.json")
HIT = "A hit: in a list of candidates, a positive is more likely than not among the best 2, mean over seeds."
CHANCE_QUERIES = 500  # chance hardly depends on which queries


def run(params: Params) -> None:
    """Score the head on the test split, beside the baseline (the features' cosine), a random projection and chance."""
    loaded = load_run(params)
    folder, rows, protocol, trained, inputs = loaded.folder, loaded.rows, loaded.protocol, loaded.trained, loaded.inputs
    subsets = test_subsets(rows, protocol, most=params.scores.queries, seed=params.seed)
    heads, baseline = trained.similarities(inputs), baseline_similarity(inputs)
    scores = score_all(
        heads,
        trained.thresholds,
        baseline,
        inputs,
        rows=rows,
        protocol=protocol,
        subsets=subsets,
        reranking=params.scores.rerank,
    )
    clusters = np.unique(loaded.clusters.astype(str), return_inverse=True)[1]
    table = score_table(
        scores,
        clusters=clusters,
        n_bootstrap=params.scores.n_bootstrap,
        head=trained.settings,
        reranking=params.scores.rerank,
    )

    out, name, most = folder / "scores", loaded.title, params.scores.gallery
    contents = {
        "table.csv": score_tables.table_csv(table),
        "queries.parquet": score_tables.queries_parquet(
            scores, rows, clusters=loaded.clusters, protocol=protocol.sha256, head=head_sha256(trained)
        ),
        "hit_rate.csv": score_tables.hit_rate_csv(scores),
        "similarity.csv": score_tables.similarity_csv(scores),
        "roc.csv": score_tables.roc_csv(scores),
        "confusion.csv": score_tables.confusion_csv(scores, rows),
        "confused.csv": score_tables.confused_csv(scores, rows),
        "groups.csv": score_tables.groups_csv(scores, rows),
        "gallery.png": draw_gallery(
            gallery_sections(
                scores, rows, folder / "rows.parquet", subsets=subsets, sides=(heads[0], baseline), most=most
            ),
            title=name,
            footer=f"Neighbours in the whole gallery, by the first seed. {HIT} Pictures: {protocol.licence}",
        ),
    }
    shown = np.concatenate([subset.gallery for subset in subsets.values()])
    if points(trained, inputs[:1]).shape[1] == 2:
        from pipeline.report.scatter import draw_scatter  # matplotlib: only for those who have a plane

        plane = points(trained, inputs[shown]).cpu().numpy()
        contents["plane.png"] = draw_scatter(plane, rows.group[shown], title=f"{name}: test split")
    for file, content in contents.items():
        write_bytes(out / file, content)
    total_queries = sum(len(evaluation.queries) for evaluation in scores.baseline.values())
    numbers = summarize(table, subsets=scores.subsets, protocol=protocol.sha256[:16], reranking=params.scores.rerank)
    if params.scores.queries is not None:
        numbers["queries"] = total_queries
    write_bytes(METRICS, (json.dumps(numbers, indent=2) + "\n").encode())
    print(f"{name}; {total_queries:,} queries{capped(params)}, in per cent:")
    print(console_table(table))
    if params.scores.rerank != "none":
        print(f"  {params.scores.rerank}: re-ranked with all test queries at once (transductive)")
    print(f"  wrote metrics.json and {out}")


def points(trained: TrainedHead, features: torch.Tensor) -> torch.Tensor:
    """(N, D) -> (N, E) what the first seed compares: its embeddings, or the features of a classifier of pairs."""
    return trained.embeddings(features)[0] if trained.embeds else features


def capped(params: Params) -> str:
    return "" if params.scores.queries is None else f" (scores.queries: at most {params.scores.queries:,})"


def score_all(
    heads: list[Similarity],
    thresholds: list[float],
    baseline: Similarity,
    inputs: torch.Tensor,
    *,
    rows: Rows,
    protocol: Protocol,
    subsets: dict[str, Subset],
    reranking: str = "none",
) -> RunEvaluations:
    """Every seed's head and the three similarities that it is compared with on every subset of the test split."""
    size = protocol.list_size
    projection = random_projection_similarity(inputs)

    def evaluations(
        similarity: Similarity, threshold: float, *, of: dict[str, Subset] = subsets, reranking: str = reranking
    ) -> dict[str, Evaluation]:
        return {
            name: evaluate_subset(
                similarity,
                rows.labels,
                subset=subset,
                candidates=size,
                threshold=threshold,
                reranking=reranking,
            )
            for name, subset in of.items()
        }

    return RunEvaluations(
        head=[evaluations(head, threshold) for head, threshold in zip(heads, thresholds, strict=True)],
        baseline=evaluations(baseline, val_threshold(baseline, protocol)),
        projection=evaluations(projection, val_threshold(projection, protocol)),
        chance=evaluations(
            constant_similarity(), 1.0, of={name: fewer(subset) for name, subset in subsets.items()}, reranking="none"
        ),
    )


def val_threshold(similarity: Similarity, protocol: Protocol) -> float:
    """The threshold of a similarity that was not trained, chosen on the same val pairs as a head's."""
    if "val" not in protocol.pairs:
        raise HeadError("the protocol has no val pairs to choose a threshold on: enlarge data.splits.val")
    pairs = protocol.pairs["val"]
    scores = score_pairs(similarity, pairs.a, right=pairs.b, positive=pairs.same)
    positive = np.repeat([True, False], [len(scores.positives), len(scores.negatives)])
    return calibrate_threshold(np.concatenate([scores.positives, scores.negatives]), positive)


def fewer(subset: Subset) -> Subset:
    step = max(1, len(subset.queries) // CHANCE_QUERIES)
    return Subset(subset.queries[::step], subset.gallery, subset.lists, subset.pairs, subset.triplets, subset.episodes)


def gallery_sections(
    scores: RunEvaluations,
    rows: Rows,
    thumbs: Path,
    *,
    subsets: dict[str, Subset],
    sides: tuple[Similarity, Similarity],
    most: int,
) -> list[GallerySection]:
    """Queries gained and lost against the baseline, largest change first, at most `most` of each, evenly per subset."""
    flips = gained_and_lost(scores, k=2)
    sections = []
    for kind in ("gained", "lost"):
        places = {name: getattr(flips[name], kind) for name in subsets}
        chosen = [
            example
            for name, subset in subsets.items()
            for example in examples(
                scores.baseline[name].queries[places[name][: max(1, most // len(subsets))]],
                subset=subset,
                sides=sides,
                rows=rows,
                thumbs=thumbs,
            )
        ]
        total = sum(len(found) for found in places.values())
        total_queries = sum(len(evaluation.queries) for evaluation in scores.baseline.values())
        sections.append(
            GallerySection(f"{kind.capitalize()}: {total:,} of {total_queries:,} queries", chosen, none="none")
        )
    return sections

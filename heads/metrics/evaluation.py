"""Every score of one similarity on one subset of the test split that its rows and frozen lists allow."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.errors import HeadError
from heads.metrics.candidate_lists import hit_curve, hits, list_hits, rank_lists
from heads.metrics.classification import knn_predict
from heads.metrics.fewshot import episode_accuracy
from heads.metrics.pairs import AllPairs, PairScores, score_all_pairs, score_pairs
from heads.metrics.ranking import rank_queries, rankable
from heads.metrics.retrieval import retrieval
from heads.metrics.triplets import triplet_hits
from heads.metrics.verification import Confusion, Roc, confusion_at, roc
from heads.reranking.registry import rerank
from heads.similarity import Similarity

Ints = NDArray[np.int64]
KS = (1, 2, 5)  # of hit rates in lists
RECALL_KS = (1, 5, 20)  # in the whole gallery
MAX_ENTRIES = 2**21  # queries times positives that are scored together, some 100 bytes each
NEIGHBOURS = 5  # that vote for a query's group


@dataclass(frozen=True)
class Subset:
    """Rows of the test split that are scored together (all, or its seen or unseen groups), and their frozen lists.

    A query's gallery is that of its subset, so seen groups are never distractors of unseen ones.
    """

    queries: Ints  # (Q,)
    gallery: Ints  # (G,)
    lists: tuple[Ints, Ints, Ints] | None = None  # query (L,), candidates (L, C), column of the positive (L,)
    pairs: tuple[Ints, Ints, NDArray[np.bool_]] | None = None  # a (P,), b (P,), positive (P,)
    triplets: tuple[Ints, Ints, Ints] | None = None  # anchor, positive, negative (T,)
    episodes: tuple[Ints, Ints] | None = None  # support (E, K, N), query (E, K, M)


@dataclass(frozen=True)
class Evaluation:
    """Scores per query, so that intervals, subsets and paired differences can be computed from them."""

    queries: Ints  # (Q,) rows
    truth: Ints  # (Q,) the group of each query
    by_query: dict[str, np.ndarray]  # name -> (Q,); a score is the mean
    hit_curve: np.ndarray  # (C,) hit rate at 1..C in lists of C
    pairs: AllPairs
    threshold: float
    left_out: int  # queries with no positive or no negative
    predicted: Ints | None = None  # (Q,) the group by k nearest neighbours; None where no query has two positives
    reranked: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (Q,), as by_query, after re-ranking
    frozen: dict[str, np.ndarray] = field(default_factory=dict)  # name -> one value per list, pair or triplet
    list_queries: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # (L,) query of each frozen list
    fewshot: np.ndarray | None = None  # (E,) accuracy of each episode
    listed: PairScores | None = None  # of the frozen pairs
    listed_rows: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))  # (P, 2) both rows, positives first

    @cached_property
    def roc(self) -> Roc:
        return roc(self.pairs.positives, self.pairs.negatives)

    @property
    def decisions(self) -> Confusion:
        return confusion_at(self.pairs.positives, self.pairs.negatives, threshold=self.threshold)


def evaluate_subset(
    similarity: Similarity,
    labels: ArrayLike,
    *,
    subset: Subset,
    candidates: int,
    threshold: float,
    reranking: str = "none",
) -> Evaluation:
    """Score `subset`: expectations over all random lists, pairs and triplets, and the frozen ones beside them.

    Args:
        labels: (N,) int, the group of every row.
        candidates: the length of the lists of the hit rates.
        threshold: pairs of at least this similarity are predicted positive; chosen on val.
        reranking: a name of `heads.reranking.registry`; its scores stand beside the others, not in their place.

    Raises:
        HeadError: as `rank_queries` and `hits`.
    """
    labels = np.asarray(labels)
    queries, gallery = subset.queries, subset.gallery
    queries = queries[rankable(labels, queries=queries, gallery=gallery)]
    if not len(queries):
        queries = subset.queries  # rank_queries raises the error
    by_query, curve = _in_chunks(similarity, labels, queries=queries, gallery=gallery, candidates=candidates)
    most_positives = _most_positives(labels, queries, gallery)
    reranked = {}
    if reranking != "none":
        if reranking == "one_to_one" and most_positives > 1:
            raise HeadError(
                f"scores.rerank one_to_one needs one positive per query, here a query has up to {most_positives}: "
                "set it to csls or none"
            )
        corrected = rerank(reranking, similarity, queries=subset.queries, gallery=gallery)
        reranked, _ = _in_chunks(corrected, labels, queries=queries, gallery=gallery, candidates=candidates)
    predicted = None
    if most_positives > 1:
        k = min(NEIGHBOURS, len(gallery) - 1)
        predicted = knn_predict(similarity, labels, queries=queries, gallery=gallery, k=k)
        by_query["knn_accuracy"] = (predicted == labels[queries]).astype(float)
    listed, listed_rows = _listed_pairs(similarity, subset)
    return Evaluation(
        queries=queries,
        truth=labels[queries],
        by_query=by_query,
        hit_curve=curve,
        pairs=score_all_pairs(similarity, labels, queries=subset.queries, gallery=gallery),
        threshold=threshold,
        left_out=len(subset.queries) - len(queries),
        predicted=predicted,
        reranked=reranked,
        frozen=_frozen(similarity, subset, listed, threshold=threshold),
        list_queries=np.empty(0, np.int64) if subset.lists is None else subset.lists[0],
        fewshot=_episodes(similarity, subset),
        listed=listed,
        listed_rows=listed_rows,
    )


def _in_chunks(
    similarity: Similarity, labels: Ints, *, queries: Ints, gallery: Ints, candidates: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """name -> (Q,) the scores that follow from ranks, and (C,) the hit curve; memory is bounded."""
    positives = max(1, int(np.bincount(labels[gallery]).max()))
    chunks = np.array_split(queries, max(1, -(-len(queries) * positives // MAX_ENTRIES)))
    scored = [_by_query(similarity, labels, queries=rows, gallery=gallery, candidates=candidates) for rows in chunks]
    names = [name for name in scored[0][0] if all(name in values for values, _ in scored)]
    by_query = {name: np.concatenate([values[name] for values, _ in scored]) for name in names}
    return by_query, np.average([curve for _, curve in scored], axis=0, weights=[len(rows) for rows in chunks])


def _by_query(
    similarity: Similarity, labels: Ints, *, queries: Ints, gallery: Ints, candidates: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    ranks = rank_queries(similarity, labels, queries=queries, gallery=gallery)
    recall_ks = tuple(k for k in RECALL_KS if k <= (ranks.negatives + ranks.positives).min())
    whole = retrieval(ranks, ks=recall_ks)
    beaten = 1 - (ranks.higher + ranks.ties / 2) / ranks.negatives[ranks.query]
    by_query = (
        {f"top{k}": hits(ranks, k=k, candidates=candidates) for k in KS if k <= candidates}
        | {f"recall_at_{k}": values for k, values in whole.recall.items()}
        | {
            "mrr": whole.reciprocal_rank,
            "map": whole.average_precision,
            "map_at_r": whole.map_at_r,
            "r_precision": whole.r_precision,
            "triplet_accuracy": ranks.mean_per_query(beaten),
        }
    )
    return by_query, hit_curve(ranks, candidates=candidates)


def _most_positives(labels: Ints, queries: Ints, gallery: Ints) -> int:
    """Of any query."""
    sizes = np.bincount(labels[gallery], minlength=labels.max() + 1)[labels[queries]]
    return int((sizes - np.isin(queries, gallery)).max())


def _listed_pairs(similarity: Similarity, subset: Subset) -> tuple[PairScores | None, Ints]:
    """Scores of the frozen pairs, and their rows (P, 2), positives first."""
    if subset.pairs is None:
        return None, np.empty((0, 2), np.int64)
    a, b, positive = subset.pairs
    rows = np.stack([np.concatenate([side[positive], side[~positive]]) for side in (a, b)], axis=1)
    return score_pairs(similarity, a, right=b, positive=positive), rows


def _frozen(
    similarity: Similarity, subset: Subset, listed: PairScores | None, *, threshold: float
) -> dict[str, np.ndarray]:
    scores = {}
    if subset.lists is not None and len(subset.lists[0]):
        queries, candidates, truth = subset.lists
        higher, ties = rank_lists(similarity, queries=queries, candidates=candidates, truth=truth)
        scores |= {f"top{k}": list_hits(higher, ties, k=k) for k in KS if k <= candidates.shape[1]}
    if listed is not None:
        correct = np.concatenate([listed.positives >= threshold, listed.negatives < threshold])
        scores["pair_accuracy"] = correct.astype(float)
    if subset.triplets is not None:
        anchors, positives, negatives = subset.triplets
        scores["triplet_accuracy"] = triplet_hits(similarity, anchors, positives=positives, negatives=negatives)
    return scores


def _episodes(similarity: Similarity, subset: Subset) -> np.ndarray | None:
    if subset.episodes is None:
        return None
    support, query = subset.episodes
    episodes, ways, per_group = query.shape
    truth = np.broadcast_to(np.arange(ways)[None, :, None], query.shape).reshape(episodes, ways * per_group)
    return episode_accuracy(similarity, support, queries=query.reshape(episodes, -1), truth=truth)

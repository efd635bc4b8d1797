"""The card of one similarity on one part of the test split: every score that its rows and frozen lists allow."""

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heads.metrics.candidate_lists import hit_curve, hits, list_hits, rank_lists
from heads.metrics.classification import nearest_vote
from heads.metrics.fewshot import episode_accuracy
from heads.metrics.pairs import PairScores, score_all_pairs, score_pairs
from heads.metrics.ranking import answerable, rank_queries
from heads.metrics.retrieval import retrieval
from heads.metrics.triplets import triplet_hits
from heads.metrics.verification import Confusion, Roc, decide, roc
from heads.similarity import Similarity

Ints = NDArray[np.int64]
KS = (1, 2, 5)  # hit rates in lists
RECALL_KS = (1, 5, 20)  # in the whole gallery
ENTRIES = 2**21  # queries times matches that are scored together: what is kept of each is some 100 bytes
NEIGHBOURS = 5  # that vote for a query's group


@dataclass(frozen=True)
class Part:
    """Rows of the test split that are scored together (all of it, or its seen or unseen groups), and what is frozen.

    A query's gallery is that of its part, so seen groups never serve as foils for unseen ones.
    """

    queries: Ints  # (Q,)
    gallery: Ints  # (G,)
    lists: tuple[Ints, Ints, Ints] | None = None  # query (L,), candidates (L, C), column of the truth (L,)
    pairs: tuple[Ints, Ints, NDArray[np.bool_]] | None = None  # a (P,), b (P,), same (P,)
    triplets: tuple[Ints, Ints, Ints] | None = None  # anchor, positive, negative (T,)
    episodes: tuple[Ints, Ints] | None = None  # support (E, K, N), query (E, K, M)


@dataclass(frozen=True)
class Card:
    """Scores with their queries, so that intervals, parts and other runs can be told apart later."""

    queries: Ints  # (Q,) row numbers
    by_query: dict[str, np.ndarray]  # name -> (Q,); a score is the mean
    curve: np.ndarray  # (C,) hit rate at 1..C in lists of C
    pairs: PairScores
    threshold: float
    left_out: int  # queries with no match or no non-match
    frozen: dict[str, np.ndarray] = field(default_factory=dict)  # name -> one value a list, pair or triplet
    list_queries: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # (L,) row that each frozen list asks for
    fewshot: np.ndarray | None = None  # (E,) accuracy of each episode
    listed: PairScores | None = None  # of the frozen pairs
    listed_rows: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))  # (P, 2) both rows, matches first
    said: Ints | None = None  # (Q,) the group that the nearest rows vote for; None where a group has one row to find
    truth: Ints | None = None  # (Q,) the group of each query

    @cached_property
    def roc(self) -> Roc:
        return roc(self.pairs.matches, self.pairs.others)

    @property
    def decisions(self) -> Confusion:
        return decide(self.pairs.matches, self.pairs.others, threshold=self.threshold)


def score(similarity: Similarity, codes: ArrayLike, *, part: Part, candidates: int, threshold: float) -> Card:
    """Score `part`: expectations over all random lists, pairs and triplets first, then the frozen ones beside them.

    Args:
        codes: (N,) the group of every row.
        candidates: the length of the lists that hit rates are given for.
        threshold: from which similarity on a pair counts as alike; chosen on val.

    Raises:
        HeadError: as `rank_queries` and `hits` do.
    """
    codes = np.asarray(codes)
    queries = part.queries[answerable(codes, queries=part.queries, gallery=part.gallery)]
    if not len(queries):
        queries = part.queries  # rank_queries says what is wrong
    each = max(1, int(np.bincount(codes[part.gallery]).max()))
    chunks = np.array_split(queries, max(1, -(-len(queries) * each // ENTRIES)))
    scored = [
        _by_query(similarity, codes, queries=rows, gallery=part.gallery, candidates=candidates) for rows in chunks
    ]
    names = [name for name in scored[0][0] if all(name in values for values, _ in scored)]
    by_query = {name: np.concatenate([values[name] for values, _ in scored]) for name in names}
    sizes = [len(rows) for rows in chunks]
    said, truth = None, codes[queries]
    listed, listed_rows = None, np.empty((0, 2), np.int64)
    if part.pairs is not None:
        a, b, same = part.pairs
        listed = score_pairs(similarity, a, right=b, alike=same)
        listed_rows = np.stack([np.concatenate([rows[same], rows[~same]]) for rows in (a, b)], axis=1)
    if _most_matches(codes, queries, part.gallery) > 1:
        neighbours = min(NEIGHBOURS, len(part.gallery) - 1)
        said = nearest_vote(similarity, codes, queries=queries, gallery=part.gallery, k=neighbours)
        by_query["knn_accuracy"] = (said == truth).astype(float)
    return Card(
        queries=queries,
        by_query=by_query,
        curve=np.average([curve for _, curve in scored], axis=0, weights=sizes),
        pairs=score_all_pairs(similarity, codes, queries=part.queries, gallery=part.gallery),
        threshold=threshold,
        left_out=len(part.queries) - len(queries),
        frozen=_frozen(similarity, part, listed, threshold=threshold),
        list_queries=np.empty(0, np.int64) if part.lists is None else part.lists[0],
        fewshot=_episodes(similarity, part),
        listed=listed,
        listed_rows=listed_rows,
        said=said,
        truth=truth,
    )


def _by_query(
    similarity: Similarity, codes: Ints, *, queries: Ints, gallery: Ints, candidates: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """name -> (Q,) the scores that follow from ranks, and (C,) the hit curve."""
    ranks = rank_queries(similarity, codes, queries=queries, gallery=gallery)
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


def _most_matches(codes: Ints, queries: Ints, gallery: Ints) -> int:
    """Of any query."""
    sizes = np.bincount(codes[gallery], minlength=codes.max() + 1)[codes[queries]]
    return int((sizes - np.isin(queries, gallery)).max())


def merge(cards: list[Card]) -> Card:
    """The parts of one similarity as one card."""
    if len(cards) == 1:
        return cards[0]
    sizes = [len(card.queries) for card in cards]
    names = [name for name in cards[0].by_query if all(name in card.by_query for card in cards)]
    fewshot = [card.fewshot for card in cards if card.fewshot is not None]
    with_pairs = [card for card in cards if card.listed is not None]
    listed = [card.listed for card in with_pairs]
    rows = [np.split(card.listed_rows, [len(card.listed.matches)]) for card in with_pairs]
    return Card(
        queries=np.concatenate([card.queries for card in cards]),
        by_query={name: np.concatenate([card.by_query[name] for card in cards]) for name in names},
        curve=np.average([card.curve for card in cards], axis=0, weights=sizes),
        pairs=_together([card.pairs for card in cards]),
        threshold=cards[0].threshold,
        left_out=sum(card.left_out for card in cards),
        frozen={
            name: np.concatenate([card.frozen[name] for card in cards])
            for name in cards[0].frozen
            if all(name in card.frozen for card in cards)
        },
        list_queries=np.concatenate([card.list_queries for card in cards]),
        fewshot=np.concatenate(fewshot) if fewshot else None,
        listed=_together(listed) if listed else None,
        listed_rows=np.concatenate(
            [*(same for same, _ in rows), *(others for _, others in rows), cards[0].listed_rows[:0]]
        ),
        said=None if any(card.said is None for card in cards) else np.concatenate([card.said for card in cards]),
        truth=np.concatenate([card.truth for card in cards]),
    )


def _together(several: list[PairScores]) -> PairScores:
    names = [field.name for field in fields(PairScores)]
    return PairScores(*(np.concatenate([getattr(pairs, name) for pairs in several]) for name in names))


def _frozen(
    similarity: Similarity, part: Part, listed: PairScores | None, *, threshold: float
) -> dict[str, np.ndarray]:
    found = {}
    if part.lists is not None and len(part.lists[0]):
        queries, candidates, truth = part.lists
        higher, ties = rank_lists(similarity, queries=queries, candidates=candidates, truth=truth)
        found |= {f"top{k}": list_hits(higher, ties, k=k) for k in KS if k <= candidates.shape[1]}
    if listed is not None:
        right_answers = np.concatenate([listed.matches >= threshold, listed.others < threshold])
        found["pair_accuracy"] = right_answers.astype(float)
    if part.triplets is not None:
        anchors, positives, negatives = part.triplets
        found["triplet_accuracy"] = triplet_hits(similarity, anchors, positives=positives, negatives=negatives)
    return found


def _episodes(similarity: Similarity, part: Part) -> np.ndarray | None:
    if part.episodes is None:
        return None
    support, query = part.episodes
    episodes, ways, asked = query.shape
    truth = np.broadcast_to(np.arange(ways)[None, :, None], query.shape).reshape(episodes, ways * asked)
    return episode_accuracy(similarity, support, queries=query.reshape(episodes, -1), truth=truth)

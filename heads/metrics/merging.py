"""The evaluations of several subsets of one similarity as one: queries, pairs and episodes side by side."""

from dataclasses import fields

import numpy as np

from heads.metrics.evaluation import Evaluation, Ints
from heads.metrics.pairs import AllPairs, PairScores
from heads.metrics.score_counts import pool_counts


def merge_evaluations(evaluations: list[Evaluation]) -> Evaluation:
    """Scores of single queries, pairs and episodes are pooled; a score that one subset lacks is left out.

    `evaluations` share the similarity and the threshold.
    """
    if len(evaluations) == 1:
        return evaluations[0]
    first = evaluations[0]
    return Evaluation(
        queries=_concatenated(evaluations, "queries"),
        truth=_concatenated(evaluations, "truth"),
        by_query=_common(evaluations, "by_query"),
        hit_curve=np.average(
            [one.hit_curve for one in evaluations], axis=0, weights=[len(one.queries) for one in evaluations]
        ),
        pairs=_pooled_all_pairs([one.pairs for one in evaluations]),
        threshold=first.threshold,
        left_out=sum(one.left_out for one in evaluations),
        predicted=_pooled_predictions(evaluations),
        reranked=_common(evaluations, "reranked"),
        frozen=_common(evaluations, "frozen"),
        list_queries=_concatenated(evaluations, "list_queries"),
        fewshot=_pooled_episodes(evaluations),
        listed=_pooled_listed(evaluations),
        listed_rows=_pooled_rows(evaluations),
    )


def _concatenated(evaluations: list[Evaluation], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in evaluations])


def _common(evaluations: list[Evaluation], name: str) -> dict[str, np.ndarray]:
    """The scores that all have."""
    scores = [getattr(one, name) for one in evaluations]
    return {
        key: np.concatenate([each[key] for each in scores]) for key in scores[0] if all(key in each for each in scores)
    }


def _pooled_predictions(evaluations: list[Evaluation]) -> Ints | None:
    missing = any(one.predicted is None for one in evaluations)
    return None if missing else _concatenated(evaluations, "predicted")


def _pooled_all_pairs(pairs: list[AllPairs]) -> AllPairs:
    return AllPairs(
        pool_counts([one.positives for one in pairs]),
        pool_counts([one.negatives for one in pairs]),
        _pooled_pairs([one.sample for one in pairs]),
    )


def _pooled_pairs(pairs: list[PairScores]) -> PairScores:
    names = [field.name for field in fields(PairScores)]
    return PairScores(*(np.concatenate([getattr(one, name) for one in pairs]) for name in names))


def _pooled_episodes(evaluations: list[Evaluation]) -> np.ndarray | None:
    episodes = [one.fewshot for one in evaluations if one.fewshot is not None]
    return np.concatenate(episodes) if episodes else None


def _pooled_listed(evaluations: list[Evaluation]) -> PairScores | None:
    listed = [one.listed for one in evaluations if one.listed is not None]
    return _pooled_pairs(listed) if listed else None


def _pooled_rows(evaluations: list[Evaluation]) -> Ints:
    """Of the frozen pairs: positives of all first, as in `PairScores`."""
    counts = [0 if one.listed is None else len(one.listed.positives) for one in evaluations]
    positives = [one.listed_rows[:count] for one, count in zip(evaluations, counts, strict=True)]
    negatives = [one.listed_rows[count:] for one, count in zip(evaluations, counts, strict=True)]
    return np.concatenate([*positives, *negatives])

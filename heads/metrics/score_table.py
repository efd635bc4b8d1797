"""The score table: every score of a run with its interval, beside the baseline, a random projection and chance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.baselines import majority_accuracy
from heads.metrics.evaluation import Evaluation
from heads.metrics.intervals import N_BOOTSTRAP, Interval, dyadic_interval, mean_interval
from heads.metrics.merging import merge_evaluations
from heads.metrics.pair_intervals import pair_intervals
from heads.metrics.pair_loss import pair_loss
from heads.setting_rules import EMBEDDERS
from heads.settings import HeadSettings

T = TypeVar("T")
Subsets = dict[str, Evaluation]  # name of a subset -> its evaluation
Values = Callable[[Evaluation], np.ndarray]  # of a score that is their mean: one per query, list, pair or episode


@dataclass(frozen=True)
class RunEvaluations:
    """The evaluations of one run: of each seed of the head, of the baseline, of a random projection and of chance."""

    head: list[Subsets]  # one per seed
    baseline: Subsets  # cosine of the features without a head
    projection: Subsets  # an untrained head
    chance: Subsets  # a constant similarity

    @property
    def subsets(self) -> list[str]:
        return list(self.baseline)

    def of(self, subset: str) -> "Compared":
        """The evaluations of one subset; of `test`, all together."""

        def pick(subsets: Subsets) -> Evaluation:
            return merge_evaluations(list(subsets.values())) if subset == "test" else subsets[subset]

        return Compared([pick(seed) for seed in self.head], *map(pick, (self.baseline, self.projection, self.chance)))


@dataclass(frozen=True)
class ScoreRow:
    """One score of one subset; None where a number has no meaning."""

    subset: str
    score: str
    head: float  # mean over seeds
    half_width: float | None  # of the 95 % interval, over queries and seeds
    half_width_seeds: float | None  # over seeds alone
    baseline: float
    projection: float
    chance: float | None


@dataclass(frozen=True)
class Compared:
    head: list[Evaluation]  # (S,)
    baseline: Evaluation
    projection: Evaluation
    chance: Evaluation


def score_table(
    scores: RunEvaluations,
    *,
    clusters: ArrayLike,
    n_bootstrap: int = N_BOOTSTRAP,
    head: HeadSettings | None = None,
    reranking: str = "none",
) -> list[ScoreRow]:
    """All scores of the whole test split, then (where there are several) of each subset.

    Scores after re-ranking are called `<reranking> <score>`, as those of frozen lists are called `frozen <score>`.

    Args:
        clusters: (N,) int, the cluster of every row: queries of one cluster are not independent.
        head: the trained head's settings; with the contrastive loss, the loss of the frozen pairs is a score.
    """
    clusters = np.asarray(clusters)
    rows = []
    for subset in ["test", *scores.subsets] if len(scores.subsets) > 1 else ["test"]:
        compared = scores.of(subset)
        rows += _query_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _pair_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _reranked_rows(subset, compared, reranking, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _frozen_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _fewshot_rows(subset, compared, n_bootstrap=n_bootstrap)
        if head is not None and head.loss == "contrastive" and head.model in EMBEDDERS:
            rows += _loss_rows(subset, compared, head, clusters=clusters)
    return rows


def _mean_row(
    subset: str,
    score: str,
    compared: Compared,
    values: Values,
    *,
    interval: Callable[[np.ndarray], Interval] | None,
    chance: float | None,
) -> ScoreRow:
    """A score that is a mean of `values`. `interval` is that of the values (S, Q) of S seeds."""
    of_seeds = np.stack([values(seed) for seed in compared.head]).astype(np.float64)
    found = interval(of_seeds) if interval else None
    return ScoreRow(
        subset,
        score,
        head=float(of_seeds.mean()),
        half_width=found.half_width if found else None,
        half_width_seeds=found.half_width_seeds if found else None,
        baseline=float(values(compared.baseline).mean()),
        projection=float(values(compared.projection).mean()),
        chance=chance,
    )


def _query_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Scores that are means over queries."""
    interval = partial(mean_interval, clusters=clusters[compared.head[0].queries], n_bootstrap=n_bootstrap)
    # A constant similarity predicts no class: chance is the accuracy of predicting the largest one.
    chances = {name: float(values.mean()) for name, values in compared.chance.by_query.items()} | {
        "knn_accuracy": majority_accuracy(compared.baseline.truth)
    }
    return [
        _mean_row(
            subset, name, compared, lambda of, name=name: of.by_query[name], interval=interval, chance=chances[name]
        )
        for name in compared.baseline.by_query
    ]


def _reranked_rows(
    subset: str, compared: Compared, reranking: str, *, clusters: np.ndarray, n_bootstrap: int
) -> list[ScoreRow]:
    """The scores of `_query_rows` after re-ranking; chance is that without it."""
    interval = partial(mean_interval, clusters=clusters[compared.head[0].queries], n_bootstrap=n_bootstrap)
    return [
        _mean_row(
            subset,
            f"{reranking} {name}",
            compared,
            lambda of, name=name: of.reranked[name],
            interval=interval,
            chance=float(compared.chance.by_query[name].mean()),
        )
        for name in compared.baseline.reranked
    ]


def _pair_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Verification scores over all pairs of query and gallery row."""
    head = compared.head
    intervals = pair_intervals(
        [seed.pairs.sample for seed in head],
        [seed.threshold for seed in head],
        clusters=clusters,
        n_bootstrap=n_bootstrap,
    )
    chances = {"auc": 0.5, "eer": 0.5, "balanced_accuracy": 0.5, "accuracy": head[0].decisions.always_negative}
    return [
        ScoreRow(
            subset,
            name,
            head=float(np.mean([_pair_score(seed, name) for seed in head])),
            half_width=intervals[name].half_width,
            half_width_seeds=intervals[name].half_width_seeds,
            baseline=_pair_score(compared.baseline, name),
            projection=_pair_score(compared.projection, name),
            chance=chance,
        )
        for name, chance in chances.items()
    ]


def _pair_score(evaluation: Evaluation, name: str) -> float:
    return getattr(evaluation.roc if name in ("auc", "eer") else evaluation.decisions, name)


def _frozen_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Scores of the frozen lists, pairs and triplets."""
    of_lists = partial(mean_interval, clusters=clusters[compared.head[0].list_queries], n_bootstrap=n_bootstrap)
    chances = {name: float(values.mean()) for name, values in compared.chance.frozen.items()}
    return [
        _mean_row(
            subset,
            f"frozen {name}",
            compared,
            lambda of, name=name: of.frozen[name],
            # No simple interval fits frozen pairs and triplets: they share images.
            interval=of_lists if name.startswith("top") else None,
            chance=chances.get(name),
        )
        for name in compared.baseline.frozen
    ]


def _fewshot_rows(subset: str, compared: Compared, *, n_bootstrap: int) -> list[ScoreRow]:
    if compared.baseline.fewshot is None:
        return []
    interval = partial(mean_interval, n_bootstrap=n_bootstrap)
    chance = float(_given(compared.chance.fewshot).mean())
    return [
        _mean_row(subset, "fewshot_accuracy", compared, lambda of: _given(of.fewshot), interval=interval, chance=chance)
    ]


def _loss_rows(subset: str, compared: Compared, settings: HeadSettings, *, clusters: np.ndarray) -> list[ScoreRow]:
    """The contrastive loss of the frozen pairs. The distance of baseline and projection is 1 - cosine."""
    if compared.baseline.listed is None:
        return []

    def terms(of: Evaluation) -> np.ndarray:
        cosine = settings.distance == "cosine" or of is compared.baseline or of is compared.projection
        return pair_loss(_given(of.listed), settings, cosine=cosine)

    interval = partial(dyadic_interval, ends=clusters[compared.head[0].listed_rows])
    return [_mean_row(subset, "pair_loss", compared, terms, interval=interval, chance=None)]


def _given(value: T | None) -> T:
    """An attribute that all evaluations of a subset share, from the baseline's."""
    assert value is not None
    return value

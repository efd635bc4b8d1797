"""The score table: every score of a run with its interval, beside the baseline, a random projection and chance."""

from dataclasses import dataclass

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

Subsets = dict[str, Evaluation]  # name of a subset -> its evaluation


@dataclass(frozen=True)
class RunEvaluations:
    """The evaluations of one run: the head's seeds, and what they are compared with."""

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
    with_loss = head is not None and head.loss == "contrastive" and head.model in EMBEDDERS
    rows = []
    for subset in ["test", *scores.subsets] if len(scores.subsets) > 1 else ["test"]:
        compared = scores.of(subset)
        rows += _query_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _pair_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _reranked_rows(subset, compared, reranking, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _frozen_rows(subset, compared, clusters=clusters, n_bootstrap=n_bootstrap)
        rows += _fewshot_rows(subset, compared, n_bootstrap=n_bootstrap)
        rows += _loss_rows(subset, compared, head, clusters=clusters) if with_loss else []
    return rows


def _row(
    subset: str, score: str, values: list[float], others: tuple[float, float, float | None], interval: Interval | None
) -> ScoreRow:
    """`values`: the score of each seed. `others`: those of baseline, projection and chance."""
    half_widths = (interval.half_width, interval.half_width_seeds) if interval else (None, None)
    return ScoreRow(subset, score, float(np.mean(values)), *half_widths, *others)


def _query_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Scores that are means over queries."""
    rows = []
    for name in compared.baseline.by_query:
        values = np.stack([seed.by_query[name] for seed in compared.head])
        interval = mean_interval(values, clusters=clusters[compared.head[0].queries], n_bootstrap=n_bootstrap)
        baseline, projection = (float(of.by_query[name].mean()) for of in (compared.baseline, compared.projection))
        # A constant similarity predicts no class; its equivalent is to predict the largest one.
        chance = (
            majority_accuracy(compared.baseline.truth)
            if name == "knn_accuracy"
            else float(compared.chance.by_query[name].mean())
        )
        rows.append(_row(subset, name, [interval.mean], (baseline, projection, chance), interval))
    return rows


def _reranked_rows(
    subset: str, compared: Compared, reranking: str, *, clusters: np.ndarray, n_bootstrap: int
) -> list[ScoreRow]:
    rows = []
    for name in compared.baseline.reranked:
        values = np.stack([seed.reranked[name] for seed in compared.head])
        interval = mean_interval(values, clusters=clusters[compared.head[0].queries], n_bootstrap=n_bootstrap)
        baseline, projection = (float(of.reranked[name].mean()) for of in (compared.baseline, compared.projection))
        chance = float(compared.chance.by_query[name].mean())
        rows.append(_row(subset, f"{reranking} {name}", [interval.mean], (baseline, projection, chance), interval))
    return rows


def _pair_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Verification scores over all pairs of query and gallery row."""
    head, others = compared.head, (compared.baseline, compared.projection)
    intervals = pair_intervals(
        [seed.pairs.sample for seed in head],
        [seed.threshold for seed in head],
        clusters=clusters,
        n_bootstrap=n_bootstrap,
    )
    chances = {"auc": 0.5, "eer": 0.5, "balanced_accuracy": 0.5, "accuracy": head[0].decisions.always_negative}
    return [
        _row(
            subset,
            name,
            [_pair_score(seed, name) for seed in head],
            (*(_pair_score(other, name) for other in others), chance),
            intervals[name],
        )
        for name, chance in chances.items()
    ]


def _pair_score(evaluation: Evaluation, name: str) -> float:
    return getattr(evaluation.roc if name in ("auc", "eer") else evaluation.decisions, name)


def _frozen_rows(subset: str, compared: Compared, *, clusters: np.ndarray, n_bootstrap: int) -> list[ScoreRow]:
    """Scores of the frozen lists, pairs and triplets."""
    rows = []
    for name, baseline in compared.baseline.frozen.items():
        values = np.stack([seed.frozen[name] for seed in compared.head])
        chance = float(compared.chance.frozen[name].mean()) if name in compared.chance.frozen else None
        # No simple interval fits frozen pairs and triplets: they share images.
        interval = None
        if name.startswith("top"):
            of_lists = clusters[compared.head[0].list_queries]
            interval = mean_interval(values, clusters=of_lists, n_bootstrap=n_bootstrap)
        others = (float(baseline.mean()), float(compared.projection.frozen[name].mean()), chance)
        rows.append(_row(subset, f"frozen {name}", [float(values.mean())], others, interval))
    return rows


def _fewshot_rows(subset: str, compared: Compared, *, n_bootstrap: int) -> list[ScoreRow]:
    if compared.baseline.fewshot is None:
        return []
    values = np.stack([seed.fewshot for seed in compared.head])
    baseline, projection, chance = (
        float(of.fewshot.mean()) for of in (compared.baseline, compared.projection, compared.chance)
    )
    interval = mean_interval(values, n_bootstrap=n_bootstrap)
    return [_row(subset, "fewshot_accuracy", [float(values.mean())], (baseline, projection, chance), interval)]


def _loss_rows(subset: str, compared: Compared, settings: HeadSettings, *, clusters: np.ndarray) -> list[ScoreRow]:
    """The contrastive loss of the frozen pairs. The distance of baseline and projection is 1 - cosine."""
    if compared.baseline.listed is None:
        return []
    cosine = settings.distance == "cosine"
    values = np.stack([pair_loss(seed.listed, settings, cosine=cosine) for seed in compared.head])
    baseline, projection = (
        float(pair_loss(of.listed, settings, cosine=True).mean()) for of in (compared.baseline, compared.projection)
    )
    interval = dyadic_interval(values, ends=clusters[compared.head[0].listed_rows])
    return [_row(subset, "pair_loss", [interval.mean], (baseline, projection, None), interval)]

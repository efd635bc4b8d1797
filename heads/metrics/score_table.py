"""Cards to numbers: the full table, each line with its interval and its trivial neighbours, and metrics.json."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heads.metrics.baselines import majority
from heads.metrics.evaluation import Card, merge
from heads.metrics.intervals import DRAWS, dyadic_interval, mean_interval
from heads.metrics.pair_intervals import pair_intervals
from heads.metrics.pair_loss import pair_loss
from heads.settings import EMBEDDERS, HeadSettings

Parts = dict[str, Card]  # name of a part -> its card
DIGITS = 4


@dataclass(frozen=True)
class Scores:
    """The cards of one run: the head's seeds, and what they must beat."""

    head: list[Parts]  # one a seed
    plain: Parts  # cosine of the same features, no head
    projection: Parts  # a head that learnt nothing
    chance: Parts  # a similarity that does not look

    @property
    def parts(self) -> list[str]:
        return list(self.plain)


@dataclass(frozen=True)
class Line:
    """One score of one part in the full table; None where a number has no meaning."""

    part: str
    score: str
    head: float  # mean over seeds
    half: float | None  # half width of its 95 % interval, over queries and seeds
    half_seeds: float | None  # ... had the seeds alone been drawn anew
    plain: float
    projection: float
    chance: float | None


def full_table(
    scores: Scores, *, clusters: ArrayLike, draws: int = DRAWS, head: HeadSettings | None = None
) -> list[Line]:
    """All scores, first of the whole test split, then (where there are several) of each part.

    Args:
        clusters: (N,) int, rows whose queries are not independent share one.
        head: what was trained; with the contrastive loss, the frozen pairs' loss is a score.
    """
    clusters = np.asarray(clusters)
    loss_of = head if head is not None and head.loss == "contrastive" and head.model in EMBEDDERS else None
    lines = []
    for part in ["test", *scores.parts] if len(scores.parts) > 1 else ["test"]:
        seeds, plain, projection, chance = (
            [_of(parts, part) for parts in cards]
            for cards in (scores.head, [scores.plain], [scores.projection], [scores.chance])
        )
        lines += _lines(part, seeds, plain[0], projection[0], chance[0], clusters=clusters, draws=draws)
        lines += _pair_loss(part, seeds, plain[0], projection[0], loss_of, clusters=clusters)
    return lines


def metrics(scores: Scores, table: list[Line], *, protocol: str) -> dict[str, Any]:
    """metrics.json: means over seeds, few enough for `dvc exp show`. `protocol` is the hash that a comparison needs."""
    by_name = {(line.part, line.score): line for line in table}

    def pick(part: str, names: tuple[str, ...], column: str = "head") -> dict[str, float]:
        found = {name: getattr(by_name[part, name], column) for name in names if (part, name) in by_name}
        return {name: round(value, DIGITS) for name, value in found.items()}

    result: dict[str, Any] = pick("test", ("top1", "top2", "top5"))
    if ("test", "top2") in by_name:
        result["top2_ci"] = round(by_name["test", "top2"].half or 0.0, DIGITS)
    if ("test", "frozen top2") in by_name:
        result["top2_frozen"] = round(by_name["test", "frozen top2"].head, DIGITS)
    result |= pick("test", ("recall_at_1", "recall_at_5", "recall_at_20", "map_at_r", "mrr"))
    result |= pick("test", ("auc", "eer", "balanced_accuracy", "triplet_accuracy"))
    result |= pick("test", ("pair_loss",))
    result["baseline"] = pick("test", ("top2", "recall_at_1", "auc", "balanced_accuracy"), "plain")
    result["chance"] = pick("test", ("top2", "recall_at_1"), "chance")
    for part in scores.parts if len(scores.parts) > 1 else []:
        result[part] = pick(part, ("top2", "recall_at_1", "auc", "balanced_accuracy", "triplet_accuracy"))
        result[part]["baseline"] = pick(part, ("top2", "balanced_accuracy"), "plain")
    if (line := by_name.get(("test", "fewshot_accuracy"))) is not None:
        result["fewshot"] = {
            "accuracy": round(line.head, DIGITS),
            "ci": round(line.half or 0.0, DIGITS),
            "baseline": round(line.plain, DIGITS),
            "chance": round(line.chance or 0.0, DIGITS),
        }
    result["protocol"] = protocol
    return result


def _pair_loss(
    part: str,
    head: list[Card],
    plain: Card,
    projection: Card,
    settings: HeadSettings | None,
    *,
    clusters: np.ndarray,
) -> list[Line]:
    """The contrastive loss of the frozen pairs, where that is what was minimised. No head's distance is 1 - cosine."""
    if settings is None or plain.listed is None:
        return []
    cosine = settings.distance == "cosine"
    values = np.stack([pair_loss(card.listed, settings, cosine=cosine) for card in head])
    others = [float(pair_loss(card.listed, settings, cosine=True).mean()) for card in (plain, projection)]
    sure = dyadic_interval(values, ends=clusters[head[0].listed_rows])
    return [Line(part, "pair_loss", sure.mean, sure.half, sure.seeds, *others, None)]


def _of(parts: Parts, part: str) -> Card:
    """The card of one part, or of all together."""
    return merge(list(parts.values())) if part == "test" else parts[part]


def _lines(
    part: str, head: list[Card], plain: Card, projection: Card, chance: Card, *, clusters: np.ndarray, draws: int
) -> list[Line]:
    lines = []

    def add(name: str, values: list[float], others: tuple[float, float, float | None], interval=None) -> None:
        half, seeds = (interval.half, interval.seeds) if interval else (None, None)
        lines.append(Line(part, name, float(np.mean(values)), half, seeds, *others))

    for name in plain.by_query:
        values = np.stack([card.by_query[name] for card in head])
        interval = mean_interval(values, clusters=clusters[head[0].queries], draws=draws)
        others = tuple(float(card.by_query[name].mean()) for card in (plain, projection))
        # Chance cannot vote by expectation: its like is to name the largest class always.
        trivial = majority(plain.truth) if name == "knn_accuracy" else float(chance.by_query[name].mean())
        add(name, [interval.mean], (*others, trivial), interval)
    sure = pair_intervals([c.pairs for c in head], [c.threshold for c in head], clusters=clusters, draws=draws)
    curves, plain_roc, projection_roc = [card.roc for card in head], plain.roc, projection.roc
    add("auc", [curve.auc for curve in curves], (plain_roc.auc, projection_roc.auc, 0.5), sure["auc"])
    add("eer", [curve.eer for curve in curves], (plain_roc.eer, projection_roc.eer, 0.5), sure["eer"])
    decided = [card.decisions for card in (*head, plain, projection)]
    for name in ("balanced_accuracy", "accuracy"):
        *values, of_plain, of_projection = (getattr(decisions, name) for decisions in decided)
        trivial = 0.5 if name == "balanced_accuracy" else decided[0].always_different
        add(name, values, (of_plain, of_projection, trivial), sure[name])
    for name, values in plain.frozen.items():
        each = np.stack([card.frozen[name] for card in head])
        trivial = float(chance.frozen[name].mean()) if name in chance.frozen else None
        others = (float(values.mean()), float(projection.frozen[name].mean()), trivial)
        # Frozen pairs and triplets share images in ways that no simple interval is right for.
        of_lists = clusters[head[0].list_queries]
        interval = mean_interval(each, clusters=of_lists, draws=draws) if name.startswith("top") else None
        add(f"frozen {name}", [float(each.mean())], others, interval)
    if plain.fewshot is not None:
        each = np.stack([card.fewshot for card in head])
        others = tuple(float(card.fewshot.mean()) for card in (plain, projection, chance))
        add("fewshot_accuracy", [float(each.mean())], others, mean_interval(each, draws=draws))
    return lines

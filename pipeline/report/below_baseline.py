"""Scores in which a head is worse than the baseline, cosine of its own features, by more than the interval."""

from collections.abc import Iterable

SHOWN = ("top1", "top2", "recall_at_1", "map_at_r", "auc", "balanced_accuracy", "fewshot_accuracy")


def is_below(head: float, half_width: float | None, baseline: float) -> bool:
    """Whether the whole 95 % interval of a score (the higher the better) lies below the baseline."""
    return half_width is not None and head + half_width < baseline


def below_baseline(rows: Iterable[tuple[str, str, float, float | None, float]]) -> str:
    """One sentence, or empty if the head is nowhere clearly worse.

    Args:
        rows: (subset, score, head, half_width, baseline) of the score table.
    """
    names = [
        score if subset == "test" else f"{subset} {score}"
        for subset, score, head, half_width, baseline in rows
        if score in SHOWN and is_below(head, half_width, baseline)
    ]
    if not names:
        return ""
    return (
        f"the head is worse than its baseline, beyond the 95 % interval, in {', '.join(names)}: "
        "the features alone do better there (head.model=identity head.dim=null)"
    )

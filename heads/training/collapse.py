"""Warnings about collapse: a head that maps all images to one point has a smooth loss curve and learns nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from heads.losses.similarity_losses import positive_pairs

STUCK = 3  # epochs in a row with the loss at the margin
MIN_STD = 1e-3  # of similarities; below it all images look equal to the head


@dataclass(frozen=True)
class CollapseStats:
    """Signs of collapse in one batch."""

    std: float  # standard deviation of the similarities to positives and negatives
    active: float  # share of (positive, negative) whose negative is within the margin of the positive, or above it


def collapse_stats(similarity: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> CollapseStats:
    """Of one batch, all (A, L): similarities, and masks of positives and negatives."""
    similarity = similarity.detach()
    anchor, of_positive = positive_pairs(similarity, positives)
    active = (similarity[anchor] > of_positive.unsqueeze(1) - margin) & negatives[anchor]
    std = similarity[positives | negatives].double().std(correction=0).item()
    return CollapseStats(std, active.sum().item() / max(1, negatives[anchor].sum().item()))


def collapse_warnings(
    history: Sequence[dict[str, float]], *, loss: str, margin: float, where: str = "head"
) -> list[str]:
    """Warnings about the last epochs of one seed; empty if there is nothing to warn of.

    where: the section of params.yaml, `head` or `finetunes.NAME`.
    """
    epochs = [row for row in history if row["epoch"] > 0]
    if not epochs:
        return []
    seed, last = epochs[0]["seed"], epochs[-1]
    if last["std"] < MIN_STD:
        return [
            f"seed {seed}: collapsed: similarities differ by {last['std']:.1g} only; "
            f"lower {where}.lr or take easier negatives"
        ]
    if loss != "triplet":  # others learn from far negatives too
        return []
    if len(epochs) >= STUCK and all(abs(row["loss"] / margin - 1) < 0.02 for row in epochs[-STUCK:]):
        return [
            f"seed {seed}: the loss is stuck at the margin {margin:g}, where all distances are equal; "
            f"lower {where}.lr or take easier negatives"
        ]
    if last["active"] == 0:
        first = next(row["epoch"] for row in epochs if row["active"] == 0)
        return [
            f"seed {seed}: no negative is near any more since epoch {first:g}: nothing left to learn; "
            f"take a larger {where}.margin or harder negatives"
        ]
    return []


def no_gain_warning(best_epochs: Sequence[int], *, select: str, where: str) -> list[str]:
    """A warning where no epoch of any seed was better on val than the start, which is then the result."""
    if any(best_epochs):
        return []
    return [
        f"no epoch was better than the untrained start by val {select}, so the start is the result: "
        f"try another {where}.lr or {where}.loss, or more epochs"
    ]

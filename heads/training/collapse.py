"""Alarms: a head that maps everything to one point has a smooth loss curve and learns nothing (report 5's triplets)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from heads.training.masks import Lists

STUCK = 3  # epochs in a row with the loss at the margin
SPREAD = 1e-3  # below this standard deviation of similarities nothing is told apart


@dataclass(frozen=True)
class Health:
    """Signs of life of one step, a value a seed."""

    spread: list[float]  # standard deviation of all similarities
    active: list[float]  # share of (positive, negative) whose negative is within the margin of the positive, or above


def health(lists: Lists, margin: float) -> Health:
    positive, negative, valid = (part.detach() for part in lists)
    active = (negative.unsqueeze(2) > positive.unsqueeze(3) - margin) & valid.unsqueeze(2)
    total = valid.flatten(1).sum(1) * positive.shape[2]
    spread = [
        torch.cat([p.flatten(), n[v]]).double().std(correction=0).item()
        for p, n, v in zip(positive, negative, valid, strict=True)
    ]
    return Health(spread, (active.flatten(1).sum(1) / total.clamp(min=1)).tolist())


def alarms(history: Sequence[dict[str, float]], *, loss: str, margin: float) -> list[str]:
    """What the last epochs of each seed show, in words; nothing when all is well."""
    found = []
    for seed in sorted({row["seed"] for row in history}):
        epochs = [row for row in history if row["seed"] == seed and row["epoch"] > 0]
        if not epochs:
            continue
        last = epochs[-1]
        if last["spread"] < SPREAD:
            found.append(
                f"seed {seed}: collapsed: similarities differ by {last['spread']:.1g} only; "
                "lower head.lr or take easier negatives"
            )
        elif (
            loss == "triplet"
            and len(epochs) >= STUCK
            and all(abs(row["loss"] / margin - 1) < 0.02 for row in epochs[-STUCK:])
        ):
            found.append(
                f"seed {seed}: the loss is stuck at the margin {margin:g}, where all distances are equal; "
                "lower head.lr or take easier negatives"
            )
        elif last["active"] == 0 and loss == "triplet":  # others learn from far negatives too
            first = next(row["epoch"] for row in epochs if row["active"] == 0)
            found.append(
                f"seed {seed}: no negative is near any more since epoch {first:g}: nothing left to learn; "
                "take a larger head.margin or harder negatives"
            )
    return found

"""The training loop, one seed of it: for a head on cached features, and for a network on images (features/finetuning).

for every epoch: for every batch: loss, gradients, a step; then the score on val picks the best epoch
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, nan

import numpy as np
import torch
from torch import nn

from heads.errors import HeadError
from heads.models.base import Head
from heads.settings import Objective
from heads.training.batches import EpochInputs, iterate_batches
from heads.training.checkpoint import TrainingState, dump_checkpoint, is_whole, load_checkpoint
from heads.training.collapse import CollapseStats, collapse_stats, collapse_warnings
from heads.training.optimizer import AdamW, ParameterGroup

REPORT = 10  # batches between two reports: reading a loss makes a GPU wait
Validate = Callable[[Head], float]  # the score of a head on val, higher is better
Report = Callable[[int, float], None]  # batches since the last report, loss


@dataclass(frozen=True)
class Trained:
    """`head` as it was after the epoch `best`; `history` has a row per epoch."""

    head: Head
    history: list[dict[str, float]]
    best: int
    warnings: list[str]  # collapse, or nothing left to learn
    resumed: int = 0  # epochs that an earlier run had completed


def train(
    head: Head,
    loss: nn.Module,
    epoch_inputs: Callable[[int], EpochInputs],
    settings: Objective,
    *,
    validate: Validate,
    kept: nn.Module | None = None,
    seed: int = 0,
    where: str = "head",
    checkpoint: bytes | None = None,
    save: Callable[[bytes], None] | None = None,
    report: Report = lambda batches, loss: None,
) -> Trained:
    """Train `head` until its score on val stops improving, and return it with the weights of its best epoch.

    Epoch 0 is the untrained head: one that training does not improve on val is returned unchanged. Training stops
    after `settings.patience` epochs without a better score, or after `settings.epochs`.

    Args:
        loss: Batch -> scalar. Its own parameters train too, without weight decay, and at `lr_scale` times the learning
            rate if it has such an attribute.
        epoch_inputs: the inputs and generators of epoch 1, 2, ...
        kept: the part of `head` whose best state is kept; None: all of it.
        seed: for the column of that name in the history.
        where: the section of params.yaml that messages name.
        checkpoint: the last state that an interrupted run of the same training saved.
        save: called after every epoch with the state of the training.
        report: called with the batches done and the last loss.

    Raises:
        HeadError: the loss is no longer a number.
    """
    kept = head if kept is None else kept
    # A loss's own parameters have no weight decay: a temperature should not shrink, and of a proxy only the direction
    # matters.
    optimizer = AdamW(
        ParameterGroup([p for p in head.parameters() if p.requires_grad], weight_decay=settings.weight_decay),
        ParameterGroup(list(loss.parameters()), lr_scale=getattr(loss, "lr_scale", 1.0)),
    )
    modules = nn.ModuleDict({"head": head, "loss": loss})
    state = load_checkpoint(checkpoint, modules, optimizer, patience=settings.patience) if checkpoint else None
    if state is None:
        score = validate(head.eval())
        state = TrainingState(0, 0, [record(seed, 0, nan, score, settings)], 0, score, _copy(kept))
    resumed = state.epoch
    epochs = settings.epochs if optimizer.groups[0].parameters else 0
    for epoch in range(resumed + 1, epochs + 1):
        if state.epoch - state.best >= settings.patience:
            break
        inputs = epoch_inputs(epoch)
        if resumed == epoch - 1 > 0:
            report(resumed * inputs.batches, state.history[-1]["loss"])
        value, stats = train_epoch(
            head.train(), loss, inputs, optimizer, lr=settings.lr * schedule(epoch, settings), report=report
        )
        if not isfinite(value):
            raise HeadError(f"the loss became {value} in epoch {epoch}: lower {where}.lr")
        score = validate(head.eval())
        state = replace(
            state,
            epoch=epoch,
            waited=max(state.waited, state.epoch - state.best),
            history=[*state.history, record(seed, epoch, value, score, settings, stats=stats)],
        )
        if score > state.best_score:
            state = replace(state, best=epoch, best_score=score, best_state=_copy(kept))
        if save:
            save(dump_checkpoint(state, modules, optimizer))
    kept.load_state_dict(state.best_state)
    damaged = ["the checkpoint of an earlier run was damaged: training started anew"]
    warnings = damaged if checkpoint is not None and not is_whole(checkpoint) else []
    warnings += collapse_warnings(state.history, loss=settings.loss, margin=settings.loss_margin, where=where)
    return Trained(head.eval(), state.history, state.best, warnings, resumed)


def train_epoch(
    head: Head,
    loss: nn.Module,
    inputs: EpochInputs,
    optimizer: AdamW,
    *,
    lr: float,
    report: Report = lambda batches, loss: None,
) -> tuple[float, CollapseStats]:
    """One pass over the batches of `inputs`: the mean loss, and signs of collapse in the last batch."""
    total, count = torch.zeros((), device=inputs.views.device), 0
    for batch in iterate_batches(head, inputs):
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step(lr)
        total, count = total + value.detach(), count + 1
        if count % REPORT == 0:
            report(REPORT, value.item())
    report(count % REPORT, value.item())
    stats = collapse_stats(batch.similarity, batch.positives, batch.negatives, inputs.settings.loss_margin)
    return total.item() / count, stats


def schedule(epoch: int, settings: Objective) -> float:
    """Share of the learning rate in `epoch`: constant, or half a cosine down to (nearly) zero."""
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + np.cos(np.pi * (epoch - 1) / settings.epochs))


def record(
    seed: int, epoch: int, loss: float, score: float, settings: Objective, *, stats: CollapseStats | None = None
) -> dict[str, float]:
    """One row of history.csv; before training there is neither a loss nor a batch."""
    return {
        "seed": seed,
        "epoch": epoch,
        "loss": round(loss, 6),
        f"val_{settings.select}": round(score, 6),
        "std": round(stats.std, 6) if stats else nan,
        "active": round(stats.active, 6) if stats else nan,
    }


def _copy(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}

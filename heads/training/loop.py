"""Train S heads, one a seed, in one batched pass over features that stay on the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import torch
from torch import Tensor, nn

from heads.errors import HeadError
from heads.losses.registry import build_loss
from heads.models.embedding_heads import Head
from heads.models.layers import generators
from heads.models.registry import build_head
from heads.settings import HeadSettings
from heads.training.batches import Feed, steps
from heads.training.collapse import Health, alarms, health
from heads.training.optimizer import AdamW
from heads.training.samplers import Pool

Validate = Callable[[Head], list[float]]  # a score for each seed, higher is better


@dataclass(frozen=True)
class Trained:
    """`head` holds each seed's best epoch; `history` has a row per seed and epoch; `best` (S,) are those epochs."""

    head: Head
    history: list[dict[str, float]]
    best: list[int]
    alarms: list[str]  # what a person should know: collapse, nothing left to learn


def train_heads(
    inputs: Tensor,
    pool: Pool,
    settings: HeadSettings,
    *,
    seed: int,
    validate: Validate,
    views: Tensor | None = None,
    progress: Callable[[int], None] = lambda epochs: None,
) -> Trained:
    """Train `settings.seeds` heads on transformed features `inputs` (N, D) float32, resident on their device.

    `views` (N, V, D), where features hold several, are drawn from at every step; val sees `inputs` alone.

    Epoch 0 is the untrained head: one that training does not improve on val is returned as it started. A seed stops
    when `patience` epochs brought nothing better; seeds beside it go on, and change nothing of its result.

    Raises:
        HeadError: the loss is no longer a number.
    """
    draws = generators(seed, settings.seeds)
    orders = [np.random.default_rng(seed + s) for s in range(settings.seeds)]
    head = build_head(settings, inputs.shape[1], draws, train=inputs[pool.rows].cpu(), groups=pool.groups)
    head = head.to(inputs.device)
    scores = validate(head.eval())
    history = [record(s, 0, nan, scores[s], settings) for s in range(settings.seeds)]
    best_score, best_epoch = list(scores), [0] * settings.seeds
    parameters = [p for p in head.parameters() if p.requires_grad]
    if not parameters:
        return Trained(head, history, best_epoch, alarms=[])
    best_state = {name: value.clone() for name, value in head.state_dict().items()}
    views = inputs if views is None else views
    pool = replace(pool, codes=np.unique(pool.codes, return_inverse=True)[1])  # from 0 on, as classifiers want them
    feed = Feed(views.reshape(len(views), -1, inputs.shape[1])[pool.rows], pool, settings, draws, orders)
    loss_of = build_loss(settings, head, feed.pooled[:, 0], pool.codes, draws=draws).to(inputs.device)
    # What a loss learns is not decayed: a temperature has no reason to shrink; of a proxy only the direction counts.
    optimizers = [
        AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay),
        AdamW(loss_of.parameters(), lr=settings.lr, weight_decay=0.0),
    ]

    for epoch in range(1, settings.epochs + 1):
        for optimizer in optimizers:
            optimizer.lr = settings.lr * rate(epoch, settings)
        losses, life = _epoch(head.train(), loss_of, feed, optimizers)
        going = [s for s in range(settings.seeds) if epoch - best_epoch[s] <= settings.patience]
        if not torch.isfinite(losses[going]).all():
            raise HeadError(f"the loss became {losses[going].tolist()} in epoch {epoch}: lower head.lr")
        scores = validate(head.eval())
        for s in going:  # the others have stopped: alone, they would not have seen this epoch
            history.append(record(s, epoch, losses[s].item(), scores[s], settings, life=life))
            if scores[s] > best_score[s]:
                best_score[s], best_epoch[s] = scores[s], epoch
                for name, value in head.state_dict().items():
                    best_state[name][s] = value[s]
        progress(1)
        if all(epoch - best >= settings.patience for best in best_epoch):
            break
    head.load_state_dict(best_state)
    history.sort(key=lambda row: (row["seed"], row["epoch"]))
    said = alarms(history, loss=settings.loss, margin=settings.loss_margin)
    return Trained(head.eval(), history, best_epoch, alarms=said)


def rate(epoch: int, settings: HeadSettings) -> float:
    """Share of the learning rate in `epoch`: constant, or half a cosine down to (nearly) zero."""
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + np.cos(np.pi * (epoch - 1) / settings.epochs))


def record(
    seed: int, epoch: int, loss: float, score: float, settings: HeadSettings, *, life: Health | None = None
) -> dict[str, float]:
    """One line of history.csv; before training there is neither loss nor sign of life."""
    return {
        "seed": seed,
        "epoch": epoch,
        "loss": round(loss, 6),
        f"val_{settings.select}": round(score, 6),
        "spread": round(life.spread[seed], 6) if life else nan,
        "active": round(life.active[seed], 6) if life else nan,
    }


def _epoch(head: Head, loss_of: nn.Module, feed: Feed, optimizers: list[AdamW]) -> tuple[Tensor, Health]:
    """One pass: the mean loss of each seed (S,), and the last step's signs of life."""
    total, count = torch.zeros(len(feed.orders), device=feed.pooled.device), 0
    for step in steps(head, feed):
        loss = loss_of(step)  # (S,)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.sum().backward()  # a sum over seeds: each seed's parameters see only its own loss
        for optimizer in optimizers:
            optimizer.step()
        total, count = total + loss.detach(), count + 1
    return total / count, health(step.lists, feed.settings.loss_margin)

"""Train S heads, one a seed, in one batched pass over features that stay on the device."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heads.batches import Pool, epoch_batches, random_negatives
from heads.build import build_head
from heads.errors import HeadError
from heads.layers import generators
from heads.lists import Lists, explicit_lists, in_batch_lists
from heads.losses import LOSSES
from heads.mining import mine
from heads.models import Head
from heads.settings import HeadSettings

Validate = Callable[[Head], list[float]]  # a score for each seed, higher is better


@dataclass(frozen=True)
class Trained:
    """`head` holds each seed's best epoch; `history` has a row per seed and epoch; `best` (S,) are those epochs."""

    head: Head
    history: list[dict[str, float]]
    best: list[int]


def train_heads(
    inputs: Tensor,
    pool: Pool,
    settings: HeadSettings,
    *,
    seed: int,
    validate: Validate,
    progress: Callable[[int], None] = lambda epochs: None,
) -> Trained:
    """Train `settings.seeds` heads on transformed features `inputs` (N, D) float32, resident on their device.

    Epoch 0 is the untrained head: one that training does not improve on val is returned as it started. A seed stops
    when `patience` epochs brought nothing better; seeds beside it go on, and change nothing of its result.

    Raises:
        HeadError: the loss is no longer a number.
    """
    draws = generators(seed, settings.seeds)
    orders = [np.random.default_rng(seed + s) for s in range(settings.seeds)]
    head = build_head(settings, inputs.shape[1], draws, train=inputs[pool.rows].cpu()).to(inputs.device)
    scores = validate(head.eval())
    history = [_record(s, 0, float("nan"), scores[s], settings) for s in range(settings.seeds)]
    best_score, best_epoch = list(scores), [0] * settings.seeds
    parameters = [p for p in head.parameters() if p.requires_grad]
    if not parameters:
        return Trained(head, history, best_epoch)
    best_state = {name: value.clone() for name, value in head.state_dict().items()}
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    pooled = inputs[torch.as_tensor(pool.rows, device=inputs.device)]

    for epoch in range(1, settings.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _rate(epoch, settings)
        losses = _epoch(head.train(), pooled, pool, settings, optimizer, orders)
        if not torch.isfinite(losses).all():
            raise HeadError(f"the loss became {losses.tolist()} in epoch {epoch}: lower head.lr")
        scores = validate(head.eval())
        for s in range(settings.seeds):
            if epoch - best_epoch[s] > settings.patience:
                continue  # this seed has stopped: alone, it would not have seen this epoch
            history.append(_record(s, epoch, losses[s].item(), scores[s], settings))
            if scores[s] > best_score[s]:
                best_score[s], best_epoch[s] = scores[s], epoch
                for name, value in head.state_dict().items():
                    best_state[name][s] = value[s]
        progress(1)
        if all(epoch - best >= settings.patience for best in best_epoch):
            break
    head.load_state_dict(best_state)
    return Trained(head.eval(), sorted(history, key=lambda row: (row["seed"], row["epoch"])), best_epoch)


def _rate(epoch: int, settings: HeadSettings) -> float:
    """Share of the learning rate in `epoch`: constant, or half a cosine down to (nearly) zero."""
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + np.cos(np.pi * (epoch - 1) / settings.epochs))


def _record(seed: int, epoch: int, loss: float, score: float, settings: HeadSettings) -> dict[str, float]:
    return {"seed": seed, "epoch": epoch, "loss": round(loss, 6), f"val_{settings.select}": round(score, 6)}


def _epoch(
    head: Head,
    pooled: Tensor,
    pool: Pool,
    settings: HeadSettings,
    optimizer: torch.optim.Optimizer,
    orders: list[np.random.Generator],
) -> Tensor:
    """One pass; the mean loss of each seed (S,)."""
    loss_of = LOSSES[settings.loss]
    batches = np.stack(  # (S, steps, M, K) positions into the pool
        [epoch_batches(pool, batch=settings.batch, images=settings.images_per_group, draw=draw) for draw in orders]
    )
    total = torch.zeros(len(orders), device=pooled.device)
    for step in range(batches.shape[1]):
        positive, negative, valid = _lists(head, pooled, pool, batches[:, step], settings, orders)
        valid = mine(settings.negatives_kind, positive.detach(), negative.detach(), valid)
        loss = loss_of(positive, negative, valid, settings)  # (S,)
        optimizer.zero_grad()
        loss.sum().backward()  # a sum over seeds: each seed's parameters see only its own loss
        optimizer.step()
        total += loss.detach()
    return total / batches.shape[1]


def _lists(
    head: Head,
    pooled: Tensor,
    pool: Pool,
    blocks: np.ndarray,
    settings: HeadSettings,
    orders: list[np.random.Generator],
) -> Lists:
    """Encode one step's images, blocks (S, M, K) of positions into the pool, and compare them."""
    seeds = blocks.shape[0]

    def encode(positions: np.ndarray) -> Tensor:
        x = pooled[torch.as_tensor(positions.reshape(seeds, -1), device=pooled.device)]
        return head.encode(x).reshape(*positions.shape, -1)

    if settings.negatives_kind != "random":
        codes = torch.as_tensor(pool.codes[blocks], device=pooled.device)
        return in_batch_lists(head, encode(blocks), codes, paired=pool.sides is not None)
    chosen = np.stack(
        [random_negatives(pool, blocks[s, :, 0], settings.negatives_count, orders[s]) for s in range(seeds)]
    )
    encoded = encode(np.concatenate([blocks[:, :, :2], chosen], axis=2))  # (S, M, 2 + N, E)
    return explicit_lists(head, encoded[:, :, 0], encoded[:, :, 1], encoded[:, :, 2:])

"""One epoch's steps: which images meet, encoded once each, and each anchor's similarities."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from heads.models.embedding_heads import Head
from heads.settings import HeadSettings
from heads.training.augment import add_noise, mix_blocks, pick_views
from heads.training.masks import Lists, explicit_lists, in_batch_lists, positives_to_negatives
from heads.training.mining import mine, mine_offline
from heads.training.samplers import Pool, epoch_batches, random_negatives


@dataclass(frozen=True)
class Feed:
    """What steps are made of. pooled (n, V, D): the pool's rows in V views; one generator a seed of each kind."""

    pooled: Tensor
    pool: Pool
    settings: HeadSettings
    draws: list[Generator]
    orders: list[np.random.Generator]


@dataclass(frozen=True)
class Step:
    """One step's images, compared.

    `lists` are what losses of similarities take, negatives mined. encoded (S, M, K, E) and codes (S, M, K): M blocks of
    K images of one group. `chosen` (S, M, N, E) are negatives taken for each block's first image, None where the batch
    has them.
    """

    head: Head
    lists: Lists
    encoded: Tensor
    codes: Tensor
    chosen: Tensor | None
    paired: bool

    @property
    def whole(self) -> Lists:
        """similarity, same, other (S, A, L): every image an anchor is compared with, and which are its positives."""
        positive, negative, valid = self.lists
        if self.chosen is not None:
            alike = torch.ones_like(positive, dtype=torch.bool)
            same = torch.cat([alike, torch.zeros_like(valid)], 2)
            return torch.cat([positive, negative], 2), same, torch.cat([~alike, valid], 2)
        if self.paired:
            same = self.codes[:, :, None, 0] == self.codes[:, None, :, 1]
            return negative, torch.cat([same, same.mT], 1), valid
        code = self.codes.flatten(1)
        itself = torch.eye(code.shape[1], dtype=torch.bool, device=code.device)
        return negative, (code.unsqueeze(2) == code.unsqueeze(1)) & ~itself, valid

    @property
    def between(self) -> Tensor:
        """Similarity of each anchor's positives to its negatives (S, A, P, N)."""
        return positives_to_negatives(self.head, self.encoded, self.lists[1], self.chosen, paired=self.paired)

    def to_proxies(self, proxies: Tensor) -> tuple[Tensor, Tensor]:
        """Similarity of every image to `proxies` (S, C, E): (S, B, C), and the images' groups (S, B)."""
        return self.head.block(self.encoded.flatten(1, 2), proxies), self.codes.flatten(1)

    @property
    def roots(self) -> tuple[Tensor, Tensor]:
        """What a `membership` head gives every image, sqrt(m) (S, B, C), and the images' groups (S, B)."""
        return self.head.roots(self.encoded.flatten(1, 2)), self.codes.flatten(1)


def steps(head: Head, feed: Feed) -> Iterator[Step]:
    """Every step of an epoch, computed when asked for: each with the weights that the step before left."""
    settings, pool = feed.settings, feed.pool
    batches = np.stack(  # (S, steps, M, K) positions into the pool
        [epoch_batches(pool, batch=settings.batch, images=settings.images_per_group, draw=draw) for draw in feed.orders]
    )
    mined = _mined(head, feed) if settings.negatives_kind == "offline" else None
    for step in range(batches.shape[1]):
        blocks = batches[:, step]
        if settings.negatives_kind in ("random", "offline"):
            yield _explicit(head, feed, blocks[:, :, :2], mined)
        else:
            yield _in_batch(head, feed, blocks)


def _in_batch(head: Head, feed: Feed, blocks: np.ndarray) -> Step:
    codes = torch.as_tensor(feed.pool.codes[blocks], device=feed.pooled.device)
    encoded = _encode(head, feed, blocks)
    paired = feed.pool.sides is not None
    positive, negative, valid = in_batch_lists(head, encoded, codes, paired=paired)
    valid = mine(feed.settings.negatives_kind, positive.detach(), negative.detach(), valid)
    return Step(head, (positive, negative, valid), encoded, codes, None, paired)


def _explicit(head: Head, feed: Feed, blocks: np.ndarray, mined: np.ndarray | None) -> Step:
    """Each block's first image is the anchor, its second the positive; N negatives come on top."""
    anchors = blocks[:, :, 0]
    if mined is None:
        count = feed.settings.negatives_count
        pairs = zip(anchors, feed.orders, strict=True)
        chosen = np.stack([random_negatives(feed.pool, anchor, count, draw) for anchor, draw in pairs])
    else:
        chosen = np.take_along_axis(mined, anchors[:, :, None], axis=1)
    positions = np.concatenate([blocks, chosen], axis=2)  # (S, M, 2 + N)
    encoded, taken = _encode(head, feed, positions).split([2, chosen.shape[2]], 2)
    lists = explicit_lists(head, encoded[:, :, 0], encoded[:, :, 1], taken)
    codes = torch.as_tensor(feed.pool.codes[blocks], device=feed.pooled.device)
    return Step(head, lists, encoded, codes, taken, feed.pool.sides is not None)


def _encode(head: Head, feed: Feed, positions: np.ndarray) -> Tensor:
    """positions (S, M, L) -> (S, M, L, E), augmented as the settings say."""
    x = pick_views(feed.pooled, positions, feed.orders)
    x = mix_blocks(x, feed.settings.mixup, feed.orders)
    x = add_noise(x, feed.settings.noise, feed.draws)
    return head.encode(x.flatten(1, 2)).reshape(*positions.shape, -1)


def _mined(head: Head, feed: Feed) -> np.ndarray:
    """(S, n, N) positions, by the weights at the start of the epoch, on plain views."""
    with torch.no_grad():
        encoded = head.eval().encode(feed.pooled[:, 0].expand(len(feed.orders), -1, -1))
    mined = mine_offline(
        head,
        encoded,
        feed.pool,
        feed.settings.negatives_count,
        relative_margin=feed.settings.relative_margin,
        max_score=feed.settings.max_score,
        draws=feed.orders,
    )
    head.train()
    return mined

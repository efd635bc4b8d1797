"""The batches of an epoch: images encoded once each, their similarities, and masks of positives and negatives."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from heads.models.base import Head
from heads.settings import HeadSettings
from heads.training.augment import add_noise, pick_views
from heads.training.mining import mine, mine_offline
from heads.training.samplers import TrainingSet, batches_per_epoch, epoch_batches, random_negatives


@dataclass(frozen=True)
class EpochInputs:
    """Training rows, settings and generators of an epoch's batches."""

    views: Tensor  # (n, V, D): the rows of the training set, in V views each
    training_set: TrainingSet
    settings: HeadSettings
    rng: Generator  # noise
    order_rng: np.random.Generator  # composition of batches, negatives, views

    @property
    def batches(self) -> int:
        settings = self.settings
        return batches_per_epoch(self.training_set, batch=settings.batch, images=settings.images_per_group)


@dataclass(frozen=True)
class Batch:
    """The images of one step and their similarities: A anchors with L images each."""

    head: Head
    similarity: Tensor  # (A, L), higher is more similar
    positives: Tensor  # (A, L) bool: the other images of the anchor's block
    negatives: Tensor  # (A, L) bool: images of other groups, those that were mined
    same_group: Tensor  # (A, L) bool: all other images of the anchor's group, also those of other blocks
    embeddings: Tensor  # (B, E) of the blocks' images, without negatives drawn for an anchor
    labels: Tensor  # (B,) their groups


def iterate_batches(head: Head, inputs: EpochInputs) -> Iterator[Batch]:
    """The batches of an epoch, one at a time: each is computed with the weights after the previous step."""
    settings, training_set = inputs.settings, inputs.training_set
    batches = epoch_batches(  # (batches, M, K) positions in the training set
        training_set, batch=settings.batch, images=settings.images_per_group, rng=inputs.order_rng
    )
    mined = _mined(head, inputs) if settings.negatives_kind == "offline" else None
    for blocks in batches:
        if settings.negatives_kind in ("random", "offline"):
            yield _with_drawn_negatives(head, inputs, blocks[:, :2], mined)
        else:
            yield _in_batch(head, inputs, blocks)


def _in_batch(head: Head, inputs: EpochInputs, blocks: np.ndarray) -> Batch:
    embeddings = _encode(head, inputs, blocks)  # (M, K, E)
    labels = torch.as_tensor(inputs.training_set.labels[blocks], device=embeddings.device)  # (M, K)
    masks = paired_masks if inputs.training_set.sides is not None else in_batch_masks
    similarity, positives, negatives, same_group = masks(head, embeddings, labels)
    mined = mine(inputs.settings.negatives_kind, similarity.detach(), positives, negatives)
    return Batch(head, similarity, positives, mined, same_group, embeddings.flatten(0, 1), labels.flatten())


def in_batch_masks(head: Head, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """similarity, positives, negatives and same_group (B, B) of blocks of K images of one group: every image is an
    anchor, the other images of its block are its positives, all images of other groups its negatives.

    embeddings (M, K, E), labels (M, K), B = M K.
    """
    blocks, images, _ = embeddings.shape
    flat, label = embeddings.flatten(0, 1), labels.flatten()
    itself = torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    block = torch.arange(blocks, device=flat.device).repeat_interleave(images)
    same = label.unsqueeze(1) == label
    positives = (block.unsqueeze(1) == block) & ~itself
    return head.pairwise(flat, flat), positives, ~same, same & ~itself


def paired_masks(head: Head, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """similarity, positives, negatives and same_group (2M, M) of M pairs: queries are compared with gallery images only
    (the first M rows), and gallery images with queries (the last M rows).

    embeddings (M, 2, E), the query first, labels (M, 2).
    """
    similarity = head.pairwise(embeddings[:, 0], embeddings[:, 1])
    same = labels[:, :1] == labels[:, 1]  # (M, M)
    partner = torch.eye(len(same), dtype=torch.bool, device=same.device)
    # A classifier of pairs takes (query, gallery) in that order only: the other direction is the transpose.
    both = torch.cat([similarity, similarity.T]), torch.cat([partner, partner]), torch.cat([same, same.T])
    return both[0], both[1], ~both[2], both[2]


def _with_drawn_negatives(head: Head, inputs: EpochInputs, blocks: np.ndarray, mined: np.ndarray | None) -> Batch:
    """The first image of each block is an anchor and the second its positive; it has N negatives of its own."""
    anchors, count = blocks[:, 0], inputs.settings.negatives_count
    drawn = random_negatives(inputs.training_set, anchors, count, inputs.order_rng) if mined is None else mined[anchors]
    embeddings = _encode(head, inputs, np.concatenate([blocks, drawn], axis=1))  # (M, 2 + N, E)
    similarity = head.elementwise(embeddings[:, :1], embeddings[:, 1:])  # (M, 1 + N)
    positives = torch.zeros_like(similarity, dtype=torch.bool)
    positives[:, 0] = True
    labels = torch.as_tensor(inputs.training_set.labels[blocks], device=embeddings.device)
    of_blocks = embeddings[:, :2].flatten(0, 1)
    return Batch(head, similarity, positives, ~positives, positives, of_blocks, labels.flatten())


def _encode(head: Head, inputs: EpochInputs, positions: np.ndarray) -> Tensor:
    """positions (M, L) -> embeddings (M, L, E), the inputs augmented as the settings say."""
    x = pick_views(inputs.views, positions, inputs.order_rng)
    x = add_noise(x, inputs.settings.noise, inputs.rng)
    return head(x.flatten(0, 1)).unflatten(0, positions.shape)


def _mined(head: Head, inputs: EpochInputs) -> np.ndarray:
    """Positions (n, N) of negatives, by the weights at the start of the epoch, on the first view."""
    with torch.no_grad():
        embeddings = head.eval()(inputs.views[:, 0])
    head.train()
    return mine_offline(
        head,
        embeddings,
        inputs.training_set,
        inputs.settings.negatives_count,
        relative_margin=inputs.settings.relative_margin,
        max_score=inputs.settings.max_score,
        rng=inputs.order_rng,
    )

"""The similarities and masks of a batch, against loops over its images; every loss on the smallest batches."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from heads.losses.registry import build_loss, group_means
from heads.models.base import Head
from heads.settings import HeadSettings, OwnLoss
from heads.training.batches import Batch, EpochInputs, in_batch_masks, iterate_batches, paired_masks
from heads.training.samplers import TrainingSet

WIDTH = 4
LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 2, 3, 3])  # in unpaired batches of 2 images, group 2 has two blocks


def one_batch(negatives: str, *, paired: bool) -> Batch:
    labels = np.repeat(np.arange(5), 2) if paired else LABELS
    training_set = TrainingSet(np.arange(10), labels, np.tile([0, 1], 5) if paired else None, 0)
    settings = HeadSettings(features="x", negatives=negatives, batch=10)
    rng = torch.Generator().manual_seed(0)
    views = torch.randn(10, 1, WIDTH, generator=rng)
    inputs = EpochInputs(views, training_set, settings, rng, np.random.default_rng(0))
    assert inputs.batches == 1
    (batch,) = iterate_batches(Head("cosine"), inputs)
    return batch


@pytest.mark.parametrize("paired", [True, False])
def test_in_batch_equals_loops(paired):
    batch = one_batch("in_batch", paired=paired)
    x, group = batch.embeddings, batch.labels.tolist()
    if paired:  # left images in order, then right ones; each against the other side
        order = [(2 * m + side, [2 * n + 1 - side for n in range(5)]) for side in (0, 1) for m in range(5)]
    else:
        order = [(i, list(range(10))) for i in range(10)]
    assert batch.similarity.shape == (10, len(order[0][1]))
    for row, (anchor, columns) in enumerate(order):
        expected = torch.stack([cosine_similarity(x[anchor], x[column], dim=0) for column in columns])
        torch.testing.assert_close(batch.similarity[row], expected)
        same = [column != anchor and group[column] == group[anchor] for column in columns]
        assert batch.same_group[row].tolist() == same
        assert batch.positives[row].tolist() == [column == anchor + 1 - 2 * (anchor % 2) for column in columns]
        assert batch.negatives[row].tolist() == [group[column] != group[anchor] for column in columns]


@pytest.mark.parametrize("paired", [True, False])
def test_drawn_negatives_come_after_the_positive(paired):
    batch = one_batch("random:3", paired=paired)
    assert batch.similarity.shape == (5, 4) and batch.embeddings.shape == (10, WIDTH)
    torch.testing.assert_close(
        batch.similarity[:, 0], cosine_similarity(batch.embeddings[0::2], batch.embeddings[1::2])
    )
    assert batch.positives.tolist() == batch.same_group.tolist() == [[True] + [False] * 3] * 5
    assert torch.equal(batch.negatives, ~batch.positives)
    assert torch.equal(batch.labels[0::2], batch.labels[1::2])


@pytest.mark.parametrize("kind", ["hard", "semihard"])
def test_mining_keeps_one_negative_per_anchor(kind):
    assert (one_batch(kind, paired=False).negatives.sum(1) == 1).all()


def test_group_means_equal_a_loop():
    x = torch.randn(10, WIDTH, generator=torch.Generator().manual_seed(1))
    unit = x / x.norm(dim=1, keepdim=True)
    for distance, rows in (("cosine", unit), ("euclidean", x)):
        means = group_means(Head(distance), x, LABELS)
        for group in range(4):
            mean = rows[torch.from_numpy(group == LABELS)].mean(0)
            expected = mean / mean.norm() if distance == "cosine" else mean
            torch.testing.assert_close(means[group], expected)


@pytest.mark.parametrize("loss", get_args(OwnLoss))
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("paired", [True, False])
def test_the_smallest_batches_are_finite_with_finite_gradients(loss, blocks, paired):
    """Two images of one group have no negative at all; equal images are at the kink of every distance."""
    model = "pseudo_class" if loss == "bce" else "linear"
    settings = HeadSettings(features="x", loss=loss, model=model)
    inputs, head = torch.ones(4, WIDTH), Head("cosine")
    objective = build_loss(settings, head, inputs, np.array([0, 0, 1, 1]), rng=torch.Generator())
    embeddings = inputs[: 2 * blocks].reshape(blocks, 2, WIDTH).clone().requires_grad_()
    labels = torch.arange(blocks)[:, None].expand(-1, 2)
    masks = (paired_masks if paired else in_batch_masks)(head, embeddings, labels)
    value = objective(Batch(head, *masks, embeddings.flatten(0, 1), labels.flatten()))
    value.backward()
    assert value.shape == () and torch.isfinite(value)
    assert torch.isfinite(embeddings.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters())

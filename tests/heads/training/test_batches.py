"""A step's comparisons, against loops over its images; every loss on the smallest batches."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from heads.losses.registry import build_loss, group_means
from heads.models.embedding_heads import Head
from heads.models.layers import generators
from heads.settings import HeadSettings, OwnLoss
from heads.training.batches import Feed, Step, steps
from heads.training.masks import in_batch_lists
from heads.training.samplers import Pool

SEEDS, WIDTH = 2, 4
CODES = np.array([0, 0, 1, 1, 2, 2, 2, 2, 3, 3])  # in unpaired batches of 2 images, group 2 has two blocks


def one_step(negatives: str, *, paired: bool) -> Step:
    draw = torch.Generator().manual_seed(0)
    codes = np.repeat(np.arange(5), 2) if paired else CODES
    pool = Pool(np.arange(10), codes, np.tile([0, 1], 5) if paired else None, 0)
    settings = HeadSettings(features="x", negatives=negatives, batch=10)
    pooled = torch.randn(10, 1, WIDTH, generator=draw)
    orders = [np.random.default_rng(s) for s in range(SEEDS)]
    return next(steps(Head("cosine"), Feed(pooled, pool, settings, generators(0, SEEDS), orders)))


@pytest.mark.parametrize("negatives", ["in_batch", "random:3"])
@pytest.mark.parametrize("paired", [True, False])
def test_whole_and_between_equal_loops(negatives, paired):
    step = one_step(negatives, paired=paired)
    similarity, same, other = step.whole
    for s in range(SEEDS):
        x, codes = step.encoded[s], step.codes[s]
        if step.chosen is not None:
            anchors = [(x[m, 0], codes[m, 0], [x[m, 1]], list(step.chosen[s, m])) for m in range(len(x))]
            for a, (image, _, positives, negatives_) in enumerate(anchors):
                values = [cosine_similarity(image, o, dim=0) for o in positives + negatives_]
                torch.testing.assert_close(similarity[s, a], torch.stack(values))
                assert same[s, a].tolist() == [True] + [False] * 3 and other[s, a].tolist() == [False] + [True] * 3
                between = [cosine_similarity(positives[0], o, dim=0) for o in negatives_]
                torch.testing.assert_close(step.between[s, a, 0], torch.stack(between))
            continue
        flat, group = x.flatten(0, 1), codes.flatten()
        if paired:  # left images in order, then right ones; each against the other side
            order = [
                (2 * m + side, [2 * n + 1 - side for n in range(len(x))]) for side in (0, 1) for m in range(len(x))
            ]
        else:
            order = [(i, list(range(len(flat)))) for i in range(len(flat))]
        for a, (anchor, columns) in enumerate(order):
            values = torch.stack([cosine_similarity(flat[anchor], flat[c], dim=0) for c in columns])
            torch.testing.assert_close(similarity[s, a], values)
            assert same[s, a].tolist() == [c != anchor and bool(group[c] == group[anchor]) for c in columns]
            assert other[s, a].tolist() == [bool(group[c] != group[anchor]) for c in columns]
            partner = anchor + 1 - 2 * (anchor % 2)
            between = torch.stack([cosine_similarity(flat[partner], flat[c], dim=0) for c in columns])
            torch.testing.assert_close(step.between[s, a, 0], between)


def test_group_means_equal_a_loop():
    x = torch.randn(10, WIDTH, generator=torch.Generator().manual_seed(1))
    unit = x / x.norm(dim=1, keepdim=True)
    for distance, rows in (("cosine", unit), ("euclidean", x)):
        means = group_means(Head(distance), x, CODES, seeds=SEEDS)
        for c in range(4):
            mean = rows[torch.from_numpy(c == CODES)].mean(0)
            expected = mean / mean.norm() if distance == "cosine" else mean
            torch.testing.assert_close(means[0, c], expected)


@pytest.mark.parametrize("loss", get_args(OwnLoss))
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("paired", [True, False])
def test_the_smallest_batches_are_finite_with_finite_gradients(loss, blocks, paired):
    """Two images of one group have no negative at all; equal images are at the kink of every distance."""
    model = "pseudo_class" if loss == "bce" else "linear"
    settings = HeadSettings(features="x", loss=loss, model=model, seeds=SEEDS)
    inputs = torch.ones(4, WIDTH)
    head = Head("cosine")
    objective = build_loss(settings, head, inputs, np.array([0, 0, 1, 1]), draws=generators(0, SEEDS))
    encoded = inputs[: 2 * blocks].reshape(1, blocks, 2, WIDTH).repeat(SEEDS, 1, 1, 1).requires_grad_()
    codes = torch.arange(blocks)[None, :, None].expand(SEEDS, -1, 2)
    lists = in_batch_lists(head, encoded, codes, paired=paired)
    value = objective(Step(head, lists, encoded, codes, None, paired))
    value.sum().backward()
    assert value.shape == (SEEDS,) and torch.isfinite(value).all()
    assert torch.isfinite(encoded.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters())


@pytest.mark.parametrize("loss", get_args(OwnLoss))
@pytest.mark.parametrize("paired", [True, False])
def test_one_seed_does_not_see_another(loss, paired):
    step = one_step("in_batch", paired=paired)
    model = "pseudo_class" if loss == "bce" else "linear"
    settings = HeadSettings(features="x", loss=loss, model=model, seeds=SEEDS)
    means = np.arange(5) if paired else np.arange(4)
    objective = build_loss(settings, Head("cosine"), torch.eye(5)[: len(means), :WIDTH], means, draws=generators(0, 2))
    encoded = step.encoded.detach().requires_grad_()
    lists = in_batch_lists(step.head, encoded, step.codes, paired=paired)
    value = objective(Step(step.head, lists, encoded, step.codes, None, paired))
    inputs = [encoded, *objective.parameters()]
    for gradient in torch.autograd.grad(value[0], inputs):
        assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0

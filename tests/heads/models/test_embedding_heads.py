import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from heads.losses.proxy_losses import membership_cross_entropy
from heads.models.embedding_heads import Head
from heads.models.layers import generators
from heads.models.registry import build_head
from heads.settings import HeadSettings

WIDTH = 12


def settings(**changes) -> HeadSettings:
    return HeadSettings(**{"features": "x", "hidden": (16,), **changes})


def rows(count: int = 40, width: int = WIDTH) -> torch.Tensor:
    return normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("model", ["identity", "linear", "mlp", "residual"])
def test_untrained_head_is_plain_cosine(model):
    x = rows()
    head = build_head(settings(model=model), WIDTH, generators(0, 2), train=x).eval()
    encoded = head.encode(x.expand(2, -1, -1))
    torch.testing.assert_close(head.block(encoded, encoded)[1], x @ x.T, atol=1e-5, rtol=0)


def test_narrow_linear_head_starts_on_the_main_directions():
    low_rank = rows(40, 3) @ torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
    low_rank = normalize(low_rank, dim=1)
    head = build_head(settings(model="linear", dim=3), WIDTH, generators(0, 1), train=low_rank)
    encoded = head.encode(low_rank.unsqueeze(0))
    torch.testing.assert_close(head.block(encoded, encoded)[0], low_rank @ low_rank.T, atol=1e-4, rtol=0)


def test_wider_linear_head_keeps_cosine():
    x = rows()
    head = build_head(settings(model="linear", dim=20), WIDTH, generators(0, 1), train=x)
    encoded = head.encode(x.unsqueeze(0))
    assert encoded.shape == (1, 40, 20)
    torch.testing.assert_close(head.block(encoded, encoded)[0], x @ x.T, atol=1e-4, rtol=0)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_block_and_rowwise_equal_a_loop(distance):
    head = Head(distance)
    a, b = torch.randn(2, 4, 5), torch.randn(2, 6, 5)

    def alike(u, v):
        if distance == "cosine":
            return cosine_similarity(u, v, dim=0)
        d = torch.linalg.vector_norm(u - v)
        return -d if distance == "euclidean" else -(d**2)

    loop = torch.stack([torch.stack([torch.stack([alike(u, v) for v in b[s]]) for u in a[s]]) for s in range(2)])
    torch.testing.assert_close(head.block(a, b), loop, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.rowwise(a, b.unsqueeze(1).expand(-1, 4, -1, -1)), loop, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
def test_equal_rows_have_finite_gradients(distance):
    a = torch.randn(1, 3, 4, requires_grad=True)
    Head(distance).block(a, a).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("model", ["mlp", "residual", "pseudo_class", "membership"])
def test_seed_starts_alike_alone_and_beside_others(model):
    together = build_head(settings(model=model, dim=6), WIDTH, generators(3, 3), train=rows(), groups=4).state_dict()
    alone = build_head(settings(model=model, dim=6), WIDTH, generators(5, 1), train=rows(), groups=4).state_dict()
    for name, value in alone.items():
        assert torch.equal(value[0], together[name][2])


def test_pseudo_classes_are_shares():
    head = build_head(settings(model="pseudo_class", dim=7), WIDTH, generators(0, 1))
    encoded = head.encode(rows().unsqueeze(0))
    torch.testing.assert_close(encoded.sum(-1), torch.ones(1, 40))
    assert (head.block(encoded, encoded) >= 0).all()


def test_dropout_is_off_in_use_and_each_seeds_own_in_training():
    head = build_head(settings(model="residual", dropout=0.5), WIDTH, generators(0, 2))
    with torch.no_grad():
        head.gate.fill_(1)
    x = rows().expand(2, -1, -1)
    assert not torch.equal(head.train().encode(x), head.train().encode(x))
    assert torch.equal(head.eval().encode(x), head.eval().encode(x))


def test_keep_is_a_mix_of_two_cosines():
    x = rows()
    head = build_head(settings(model="pseudo_class", dim=5, cosine_weight=0.3), WIDTH, generators(0, 1))
    encoded, learned = head.encode(x.unsqueeze(0)), normalize(head.learned.encode(x.unsqueeze(0)), dim=-1)[0]
    torch.testing.assert_close(head.block(encoded, encoded)[0], 0.3 * x @ x.T + 0.7 * learned @ learned.T)


@pytest.mark.parametrize("keep", [0.0, 0.3])
def test_membership_equals_a_loop(keep):
    x = rows()
    head = build_head(
        settings(model="membership", cosine_weight=keep, temperature=0.5), WIDTH, generators(0, 2), groups=5
    )
    learned = head.learned if keep else head
    with torch.no_grad():
        learned.branch.last.weight.normal_(generator=torch.Generator().manual_seed(0))
    encoded = head.encode(x.expand(2, -1, -1))
    for s in (0, 1):
        share = torch.sigmoid(learned.branch(x.expand(2, -1, -1))[s] / 0.5 - math.log(4))
        torch.testing.assert_close(head.roots(encoded)[s].square(), share)

        def product(i, j, share=share):
            both = sum((p * q).sqrt() for p, q in zip(share[i], share[j], strict=True))
            return keep * (x[i] @ x[j]) + (1 - keep) * both

        alike = head.block(encoded, encoded)[s]
        for i, j in ((0, 1), (2, 7), (5, 5)):
            torch.testing.assert_close(alike[i, j], product(i, j) / (product(i, i) * product(j, j)).sqrt())


def test_untrained_membership_ranks_as_its_input():
    x = rows()
    head = build_head(settings(model="membership", cosine_weight=0.3), WIDTH, generators(0, 1), groups=5)
    encoded = head.encode(x.unsqueeze(0))
    torch.testing.assert_close(head.block(encoded, encoded)[0], 0.3 * x @ x.T + 0.7)


def test_images_of_no_known_group_fall_back_to_plain_cosine():
    x = rows()
    head = build_head(settings(model="membership", cosine_weight=0.3), WIDTH, generators(0, 1), groups=5)
    with torch.no_grad():
        head.learned.branch.last.bias.fill_(-30.0)
    encoded = head.encode(x.unsqueeze(0))
    torch.testing.assert_close(head.block(encoded, encoded)[0], x @ x.T)


def test_memberships_that_underflow_have_finite_gradients():
    head = build_head(settings(model="membership", hidden=(), temperature=0.01), WIDTH, generators(0, 1), groups=3)
    with torch.no_grad():
        head.branch.last.weight.normal_(std=100, generator=torch.Generator().manual_seed(0))
    x = rows().unsqueeze(0).requires_grad_()
    encoded = head.encode(x)
    assert (encoded == 0).any() and (encoded == 1).any()
    loss = membership_cross_entropy(encoded, torch.zeros(1, 40).long())
    (head.block(encoded, encoded).sum() + loss.sum()).backward()
    assert torch.isfinite(loss).all() and torch.isfinite(x.grad).all()

import math

import pytest
import torch
from seeded_heads import seeded_head
from torch import nn
from torch.nn.functional import cosine_similarity, normalize

from heads.losses.proxy_losses import membership_cross_entropy
from heads.models.base import Head
from heads.settings import HeadSettings

WIDTH = 12


def settings(**changes) -> HeadSettings:
    hidden = () if changes["model"] in ("identity", "linear") else (16,)
    return HeadSettings(**{"features": "x", "hidden": hidden, **changes})


def rows(count: int = 40, width: int = WIDTH) -> torch.Tensor:
    return normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("model", ["identity", "linear", "mlp", "residual"])
def test_untrained_head_is_the_cosine_of_its_inputs(model):
    x = rows()
    embeddings = seeded_head(settings(model=model), WIDTH, train=x).eval()(x)
    torch.testing.assert_close(Head("cosine").pairwise(embeddings, embeddings), x @ x.T, atol=1e-5, rtol=0)


def test_narrow_linear_head_starts_on_the_main_directions():
    low_rank = rows(40, 3) @ torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(2))
    low_rank = normalize(low_rank, dim=1)
    head = seeded_head(settings(model="linear", dim=3), WIDTH, train=low_rank)
    embeddings = head(low_rank)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), low_rank @ low_rank.T, atol=1e-4, rtol=0)


def test_wider_linear_head_keeps_cosine():
    x = rows()
    head = seeded_head(settings(model="linear", dim=20), WIDTH, train=x)
    embeddings = head(x)
    assert embeddings.shape == (40, 20)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), x @ x.T, atol=1e-4, rtol=0)


def test_a_head_is_an_ordinary_module():
    head = seeded_head(settings(model="mlp", dim=5), WIDTH, train=rows())
    assert nn.Linear in {type(module) for module in head.modules()}
    assert head(rows()).shape == (40, 5) and head.state_dict()["project.weight"].shape == (5, WIDTH)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_pairwise_and_elementwise_equal_a_loop(distance):
    head = Head(distance)
    a, b = torch.randn(4, 5), torch.randn(6, 5)

    def similar(u, v):
        if distance == "cosine":
            return cosine_similarity(u, v, dim=0)
        d = torch.linalg.vector_norm(u - v)
        return -d if distance == "euclidean" else -(d**2)

    loop = torch.stack([torch.stack([similar(u, v) for v in b]) for u in a])
    torch.testing.assert_close(head.pairwise(a, b), loop, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.elementwise(a[:, None], b[None]), loop, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.elementwise(a, b[:4]), loop.diagonal(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean"])
def test_equal_rows_have_finite_gradients(distance):
    a = torch.randn(3, 4, requires_grad=True)
    Head(distance).pairwise(a, a).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("model", ["mlp", "residual", "pseudo_class", "membership"])
def test_the_start_is_that_of_the_seed_whatever_was_drawn_before(model):
    before, changes = torch.random.get_rng_state(), {"dim": 6} if model in ("mlp", "pseudo_class") else {}
    heads = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        heads.append(seeded_head(settings(model=model, **changes), WIDTH, seed=5, train=rows(), groups=4).state_dict())
    torch.random.set_rng_state(before)
    other = seeded_head(settings(model=model, **changes), WIDTH, seed=6, train=rows(), groups=4).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(value, heads[1][name]) for name, value in heads[0].items())
    assert any(not torch.equal(value, other[name]) for name, value in heads[0].items())


def test_pseudo_classes_are_shares():
    head = seeded_head(settings(model="pseudo_class", dim=7), WIDTH)
    embeddings = head(rows())
    torch.testing.assert_close(embeddings.sum(-1), torch.ones(40))
    assert (head.pairwise(embeddings, embeddings) >= 0).all()


def test_dropout_is_off_in_use_and_drawn_in_training():
    head = seeded_head(settings(model="residual", dropout=0.5), WIDTH)
    with torch.no_grad():
        head.gate.fill_(1)
    assert not torch.equal(head.train()(rows()), head.train()(rows()))
    assert torch.equal(head.eval()(rows()), head.eval()(rows()))


def test_cosine_weight_mixes_two_cosines():
    x = rows()
    head = seeded_head(settings(model="pseudo_class", dim=5, cosine_weight=0.3), WIDTH)
    embeddings, learned = head(x), normalize(head.learned(x), dim=-1)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), 0.3 * x @ x.T + 0.7 * learned @ learned.T)


@pytest.mark.parametrize("keep", [0.0, 0.3])
def test_membership_equals_a_loop(keep):
    x = rows()
    head = seeded_head(settings(model="membership", cosine_weight=keep, temperature=0.5), WIDTH, groups=5)
    learned = head.learned if keep else head
    with torch.no_grad():
        learned.mlp.last.weight.normal_(generator=torch.Generator().manual_seed(0))
    embeddings = head(x)
    share = torch.sigmoid(learned.mlp(x) / 0.5 - math.log(4))
    torch.testing.assert_close(head.sqrt_membership(embeddings).square(), share)

    def product(i, j):
        both = sum((p * q).sqrt() for p, q in zip(share[i], share[j], strict=True))
        return keep * (x[i] @ x[j]) + (1 - keep) * both

    similarity = head.pairwise(embeddings, embeddings)
    for i, j in ((0, 1), (2, 7), (5, 5)):
        torch.testing.assert_close(similarity[i, j], product(i, j) / (product(i, i) * product(j, j)).sqrt())


def test_untrained_membership_ranks_as_its_input():
    x = rows()
    head = seeded_head(settings(model="membership", cosine_weight=0.3), WIDTH, groups=5)
    embeddings = head(x)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), 0.3 * x @ x.T + 0.7)


def test_images_of_no_known_group_fall_back_to_the_cosine_of_the_input():
    x = rows()
    head = seeded_head(settings(model="membership", cosine_weight=0.3), WIDTH, groups=5)
    with torch.no_grad():
        head.learned.mlp.last.bias.fill_(-30.0)
    embeddings = head(x)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), x @ x.T)


def test_memberships_that_underflow_have_finite_gradients():
    head = seeded_head(settings(model="membership", hidden=(), temperature=0.01), WIDTH, groups=3)
    with torch.no_grad():
        head.mlp.last.weight.normal_(std=100, generator=torch.Generator().manual_seed(0))
    x = rows().requires_grad_()
    embeddings = head(x)
    assert (embeddings == 0).any() and (embeddings == 1).any()
    loss = membership_cross_entropy(embeddings, torch.zeros(40).long())
    (head.pairwise(embeddings, embeddings).sum() + loss).backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()

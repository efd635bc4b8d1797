import pytest
import torch

from heads.models.layers import generators
from heads.models.pair_heads import seed_of
from heads.models.registry import build_head
from heads.settings import PAIR_MODELS, HeadSettings
from heads.store import mean_similarity, similarities

WIDTH, SEEDS = 6, 3


def settings(model: str, **changes) -> HeadSettings:
    return HeadSettings(**{"features": "x", "model": model, "seeds": SEEDS, "loss": "bce", **changes})


def head_of(model: str, **changes):
    head = build_head(settings(model, **changes), WIDTH, generators(0, SEEDS))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return head.eval()


CASES = [
    ("pair_bc", {}),
    ("pair_bc", {"classifier": (5,)}),
    ("pair_mlp", {}),
    ("pair_mlp", {"classifier": (5, 4)}),
    ("pair_mlp", {"hidden": (7,), "dim": 4, "classifier": (5,)}),
    ("distance_logit", {"dim": 4}),
]


def loop_logit(head, model: str, s: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One pair, from the weights, on the concatenation of both."""
    a, b = (head.encode(x.expand(SEEDS, 1, -1))[s, 0] for x in (a, b))
    if model == "distance_logit":
        d = torch.linalg.vector_norm(a - b)
        normed = (d - head.mean[s, 0, 0]) / (head.variance[s, 0, 0] + 1e-5).sqrt()
        return head.gain[s, 0, 0] * normed + head.bias[s, 0, 0]
    x = torch.cat([a, b]) @ head.first.weight[s] + head.first.bias[s, 0]
    for layer in head.rest:
        x = x.relu() @ layer.weight[s] + layer.bias[s, 0]
    return x.relu()[0] if model == "pair_bc" else x[0]


@pytest.mark.parametrize("model, changes", CASES)
@torch.no_grad()
def test_block_rowwise_and_similarity_equal_a_loop_over_pairs(model, changes):
    head, x = head_of(model, **changes), torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(2))
    encoded = head.encode(x.expand(SEEDS, -1, -1))
    for s in range(SEEDS):
        loop = torch.stack([torch.stack([loop_logit(head, model, s, a, b) for b in x]) for a in x])
        torch.testing.assert_close(head.block(encoded, encoded)[s], loop, atol=1e-5, rtol=1e-4)
        rowwise = head.rowwise(encoded, encoded.unsqueeze(1).expand(-1, 5, -1, -1))
        torch.testing.assert_close(rowwise[s], loop, atol=1e-5, rtol=1e-4)
        similarity, rows = similarities(head, encoded)[s], torch.arange(5)
        torch.testing.assert_close(similarity.block(rows, rows), loop, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(similarity.pairs(rows, rows.flip(0)), loop.flip(1).diagonal(), atol=1e-5, rtol=1e-4)


def test_blocks_in_parts_equal_the_whole(monkeypatch):
    head, x = head_of("pair_mlp", classifier=(5,)), torch.randn(SEEDS, 9, WIDTH)
    whole = head.block(x, x)
    monkeypatch.setattr("heads.models.pair_heads.PAIRS_AT_ONCE", 100)
    torch.testing.assert_close(head.block(x, x), whole)


def test_report_1_never_says_less_than_one_half():
    head, x = head_of("pair_bc"), torch.randn(SEEDS, 20, WIDTH)
    assert (torch.sigmoid(head.block(x, x)) >= 0.5).all()


def test_distance_logit_starts_with_near_as_alike_and_normalises_in_training():
    head = build_head(settings("distance_logit"), WIDTH, generators(0, SEEDS)).train()
    x = torch.randn(SEEDS, 20, WIDTH)
    encoded = head.encode(x)
    logits = head.block(encoded, encoded)
    torch.testing.assert_close(logits.mean((1, 2)), torch.zeros(SEEDS), atol=1e-4, rtol=0)
    assert (logits.diagonal(dim1=1, dim2=2) > logits.mean((1, 2)).unsqueeze(1)).all()
    assert (head.mean != 0).all()  # running statistics follow


@pytest.mark.parametrize("model", PAIR_MODELS)
def test_one_seed_alone(model):
    head, x = head_of(model), torch.randn(1, 4, WIDTH)
    encoded = head.encode(x.expand(SEEDS, -1, -1))
    alone = seed_of(head, 1)
    torch.testing.assert_close(alone.block(encoded[1:2], encoded[1:2])[0], head.block(encoded, encoded)[1])


def test_ensemble_is_the_mean():
    head, rows = head_of("pair_mlp"), torch.arange(4)
    several = similarities(head, head.encode(torch.randn(1, 4, WIDTH).expand(SEEDS, -1, -1)))
    mean = torch.stack([one.block(rows, rows) for one in several]).mean(0)
    torch.testing.assert_close(mean_similarity(several).block(rows, rows), mean)

import numpy as np
import torch

from heads.models.layers import generators
from heads.training.augment import add_noise, mix_blocks, pick_views


def orders(count: int = 2) -> list[np.random.Generator]:
    return [np.random.default_rng(s) for s in range(count)]


def test_views_are_all_drawn_and_belong_to_their_image():
    pooled = torch.arange(12.0).reshape(4, 3, 1)  # image i, view v: 3 i + v
    positions = np.tile(np.arange(4), (2, 50, 1))
    drawn = pick_views(pooled, positions, orders())
    assert torch.equal(drawn[..., 0] // 3, torch.from_numpy(positions).float())
    assert set((drawn % 3).unique().tolist()) == {0, 1, 2}


def test_one_view_draws_nothing():
    draw = orders(1)
    pick_views(torch.randn(3, 1, 2), np.zeros((1, 5), dtype=int), draw)
    assert draw[0].random() == np.random.default_rng(0).random()


def test_mixup_keeps_a_block_alike_and_its_own_share_larger():
    x = torch.eye(6).reshape(1, 6, 1, 6).expand(2, 6, 3, 6)  # block i is the unit vector i, K = 3
    mixed = mix_blocks(x, 0.5, orders())
    assert torch.equal(mixed[:, :, 0], mixed[:, :, 2])
    own = mixed[:, :, 0].diagonal(dim1=1, dim2=2)
    assert (own >= 0.5).all() and (own < 1).any()
    torch.testing.assert_close(mixed.sum(-1), torch.ones(2, 6, 3))
    assert mix_blocks(x, 0, orders()) is x


def test_noise_has_the_asked_length_and_each_seed_its_own():
    x = torch.zeros(2, 500, 64)
    noisy = add_noise(x, 0.3, generators(0, 2))
    assert abs(noisy.norm(dim=-1).mean().item() - 0.3) < 0.01
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(add_noise(x[:1], 0.3, generators(1, 1))[0], noisy[1])
    assert add_noise(x, 0, generators(0, 2)) is x

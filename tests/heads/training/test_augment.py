import numpy as np
import torch

from heads.training.augment import add_noise, pick_views


def test_views_are_all_drawn_and_belong_to_their_image():
    views = torch.arange(12.0).reshape(4, 3, 1)  # image i, view v: 3 i + v
    positions = np.tile(np.arange(4), (50, 1))
    drawn = pick_views(views, positions, np.random.default_rng(0))
    assert torch.equal(drawn[..., 0] // 3, torch.from_numpy(positions).float())
    assert set((drawn % 3).unique().tolist()) == {0, 1, 2}


def test_one_view_draws_nothing():
    rng = np.random.default_rng(0)
    pick_views(torch.randn(3, 1, 2), np.zeros(5, dtype=int), rng)
    assert rng.random() == np.random.default_rng(0).random()


def test_noise_has_the_expected_length():
    x = torch.zeros(500, 64)
    noisy = add_noise(x, 0.3, torch.Generator().manual_seed(0))
    assert abs(noisy.norm(dim=-1).mean().item() - 0.3) < 0.01
    assert add_noise(x, 0, torch.Generator()) is x

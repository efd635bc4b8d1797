"""Batches are moved about as each image would be alone."""

import numpy as np
import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from features.finetuning.augment import (
    apply_affines,
    augment,
    draw_affines,
    draw_shifts,
    rotate,
    rotated_training_set,
    shift_and_flip,
)
from features.finetuning.settings import Augment
from heads.training.samplers import TrainingSet

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, 3, 8, 8), dtype=np.uint8))


def one_moved(image: np.ndarray, down: int, right: int, mirrored: bool) -> np.ndarray:
    """One image, pixel by pixel."""
    out = np.empty_like(image)
    side = image.shape[1]
    for row in range(side):
        for column in range(side):
            at = side - 1 - column if mirrored else column
            source = min(max(row - down, 0), side - 1), min(max(at - right, 0), side - 1)
            out[:, row, column] = image[:, *source]
    return out


def test_a_batch_is_moved_as_its_images_alone():
    settings = Augment(shift=0.3, flip=True)
    shift, mirrored = draw_shifts(len(IMAGES), 8, settings, torch.Generator().manual_seed(1))
    assert shift.abs().max() == 2 and mirrored.any() and not mirrored.all()
    expected = [
        one_moved(image, *by, mirror)
        for image, by, mirror in zip(IMAGES.numpy(), shift.tolist(), mirrored.tolist(), strict=True)
    ]
    assert (shift_and_flip(IMAGES, shift, mirrored).numpy() == np.stack(expected)).all()
    assert (augment(IMAGES, settings, torch.Generator().manual_seed(1)).numpy() == np.stack(expected)).all()


def test_a_batch_is_warped_as_its_images_alone():
    settings = Augment(rotate=30, scale=0.2, shear=10, crop=0.5)
    maps = draw_affines(len(IMAGES), settings, torch.Generator().manual_seed(2))
    alone = [
        grid_sample(
            image[None].float(),
            affine_grid(one[None], [1, 3, 8, 8], align_corners=False),
            padding_mode="border",
            align_corners=False,
        )[0]
        for image, one in zip(IMAGES, maps, strict=True)
    ]
    torch.testing.assert_close(apply_affines(IMAGES, maps), torch.stack(alone))
    torch.testing.assert_close(augment(IMAGES, settings, torch.Generator().manual_seed(2)), torch.stack(alone))


def test_nothing_asked_for_leaves_the_bytes():
    assert augment(IMAGES, Augment(), torch.Generator()) is IMAGES


def test_a_quarter_turn_is_one():
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    torch.testing.assert_close(apply_affines(IMAGES[:1], turn), IMAGES[:1].float().rot90(1, (2, 3)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("crop", [0.25, 1.0])
def test_windows_lie_inside_and_have_their_share_of_the_area(crop):
    maps = draw_affines(500, Augment(crop=crop), torch.Generator().manual_seed(0))
    side = maps[:, 0, 0]
    assert torch.allclose(maps[:, 0, 1], torch.zeros(())) and (side**2 >= crop - 1e-6).all() and (side <= 1).all()
    assert (maps[:, :, 2].abs() + side[:, None] <= 1 + 1e-6).all()


def test_every_image_has_its_own_draw():
    maps = draw_affines(50, Augment(rotate=20), torch.Generator().manual_seed(0))
    angles = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert angles.abs().max() <= 20 and len(angles.unique()) == 50 and angles.min() < -10 and angles.max() > 10


def test_a_batch_is_turned_as_its_images_alone():
    quarters = [0, 1, 2, 3, 3, 2, 1, 0, 1]
    expected = [np.rot90(image, quarter, (1, 2)) for image, quarter in zip(IMAGES.numpy(), quarters, strict=True)]
    assert (rotate(IMAGES, torch.tensor(quarters)).numpy() == np.stack(expected)).all()


@pytest.mark.parametrize("sides", [None, np.array([0, 1, 1])])
def test_turned_groups_are_groups_of_their_own(sides):
    rotated = rotated_training_set(TrainingSet(np.array([4, 0, 7]), np.array([2, 5, 2]), sides, left_out=1), total=10)
    assert rotated.rows.tolist() == [4, 0, 7, 14, 10, 17, 24, 20, 27, 34, 30, 37]
    assert (rotated.groups, rotated.left_out) == (8, 1)
    groups = {code: set(rotated.rows[rotated.labels == code].tolist()) for code in rotated.labels.tolist()}
    assert sorted(map(sorted, groups.values())) == sorted([[4, 7], [14, 17], [24, 27], [34, 37], [0], [10], [20], [30]])
    assert rotated.sides is None if sides is None else rotated.sides.tolist() == [0, 1, 1] * 4

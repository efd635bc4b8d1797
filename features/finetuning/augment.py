"""Augmentation of a batch of images on its device, with random parameters per image.

Rotations by quarter turns are not random: a rotated letter is another letter, so they are groups of their own. Inputs
are row numbers: image `r` of N rotated by `q` quarter turns is row `r + q N`.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from features.finetuning.settings import Augment
from heads.training.samplers import TrainingSet

ROTATIONS = 4


def augment(images: Tensor, settings: Augment, rng: Generator) -> Tensor:
    """(B, C, S, S) uint8 -> the same, or float32 in [0, 255] where pixels are interpolated.

    Pixels that come from outside the image repeat its edge.
    """
    if settings.shift or settings.flip:
        images = shift_and_flip(images, *draw_shifts(len(images), images.shape[-1], settings, rng))
    if settings.rotate or settings.scale or settings.shear or settings.crop < 1:
        images = apply_affines(images, draw_affines(len(images), settings, rng))
    return images


def draw_shifts(count: int, side: int, settings: Augment, rng: Generator) -> tuple[Tensor, Tensor]:
    """Shifts in whole pixels, down and to the right (B, 2), and whether each image is mirrored (B,)."""
    most = round(settings.shift * side)
    shift = torch.randint(-most, most + 1, (count, 2), generator=rng)
    mirrored = torch.rand(count, generator=rng) < (0.5 if settings.flip else 0.0)
    return shift, mirrored


def shift_and_flip(images: Tensor, shift: Tensor, mirrored: Tensor) -> Tensor:
    """(B, C, S, S), shifted by `shift` (B, 2), then mirrored where `mirrored` (B,): no pixel is interpolated."""
    batch, channels, side, _ = images.shape
    place = torch.arange(side)
    rows = (place - shift[:, :1]).clamp(0, side - 1)  # (B, S): where each row comes from
    columns = (place - shift[:, 1:]).clamp(0, side - 1)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    source = (rows[:, :, None] * side + columns[:, None]).view(batch, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, source).view_as(images)


def draw_affines(count: int, settings: Augment, rng: Generator) -> Tensor:
    """(B, 2, 3), from a point of the result to its source, both in [-1, 1]: crop, shear, scale and rotation."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=rng)

    angle = torch.deg2rad(uniform(-settings.rotate, settings.rotate))
    shear = torch.deg2rad(uniform(-settings.shear, settings.shear)).tan()
    zoom = 1 / uniform(1 - settings.scale, 1 + settings.scale)
    window = uniform(settings.crop, 1).sqrt()  # of the side
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([cos, shear * cos - sin, sin, shear * sin + cos])
    linear = (linear * zoom * window).T.view(count, 2, 2)
    centre = (1 - window)[:, None] * (2 * torch.rand((count, 2), generator=rng) - 1)  # the window stays inside
    return torch.cat([linear, centre[:, :, None]], 2)


def apply_affines(images: Tensor, maps: Tensor) -> Tensor:
    """(B, C, S, S) and `maps` (B, 2, 3) -> float32, bilinear."""
    grid = affine_grid(maps.to(images.device), list(images.shape), align_corners=False)
    return grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def rotated_training_set(training_set: TrainingSet, total: int) -> TrainingSet:
    """`training_set` of a data set of `total` rows, rotated by 0, 90, 180 and 270 degrees: four times as many groups
    (Santoro et al. 2016, section 4.2).
    """
    groups = int(training_set.labels.max()) + 1
    sides = training_set.sides
    return replace(
        training_set,
        rows=np.concatenate([training_set.rows + quarters * total for quarters in range(ROTATIONS)]),
        labels=np.concatenate([training_set.labels + quarters * groups for quarters in range(ROTATIONS)]),
        sides=None if sides is None else np.tile(sides, ROTATIONS),
    )


def rotate(images: Tensor, quarters: Tensor) -> Tensor:
    """(B, C, S, S), each rotated anticlockwise by its own number of quarter turns (B,)."""
    side = images.shape[-1]
    place = torch.arange(side * side).view(side, side)
    sources = torch.stack([place.rot90(quarter).flatten() for quarter in range(ROTATIONS)]).to(images.device)
    source = sources[quarters.to(images.device)].unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, source).view_as(images)

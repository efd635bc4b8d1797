"""One image in, a square of bytes out: the resize that every backbone shares, and the mean and std that follow it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

CROP = 8 / 7  # crops are taken from the image at this scale: each holds 7/8 of the side
VERSION = 1  # part of every sidecar: raise it with any change of the pixels below

Channels = tuple[float, float, float]  # red, green, blue
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing of a network's images.

    `size`: side of the square input, in pixels. `resize`: the shorter side before the centre crop, in pixels.
    `fit`: `shortest` keeps the aspect ratio and crops, `longest` keeps it and pads, `squash` does not keep it.
    """

    size: int
    resize: int
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fit: Literal["shortest", "longest", "squash"] = "shortest"

    def describe(self) -> dict[str, Any]:
        """For the sidecar: every field, and the version of this code."""
        values = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}  # lists: as JSON gives them back
        return {**values, "version": VERSION}

    @classmethod
    def parse(cls, description: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `describe`.

        Raises:
            KeyError: a field is missing.
        """
        values: dict[str, Any] = {field.name: description[field.name] for field in fields(cls)}
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def views(self, image: Image.Image, crops: int = 0) -> Tensor:
        """An RGB image -> (1 + crops, 3, size, size) uint8: the whole image, then a centre and corner crops of 7/8."""
        plain = self.pixels(image)
        if not crops:
            return plain[None]
        large = replace(self, size=round(self.size * CROP), resize=round(self.resize * CROP)).pixels(image)
        *corners, centre = tv.five_crop(large, [self.size, self.size])
        return torch.stack([plain, centre, *corners][: 1 + crops])

    def pixels(self, image: Image.Image) -> Tensor:
        """An RGB image -> (3, size, size) uint8. Resizing bytes is 2.5-3.8x as fast as Pillow, within 2 levels."""
        pixels = tv.pil_to_tensor(image)  # (3, H, W) uint8
        height, width = pixels.shape[1:]
        match self.fit:
            case "squash":
                target = [self.resize, self.resize]
            case "shortest":
                short = min(height, width)
                # int(), not round(): as torchvision and so every published transform does
                target = [int(self.resize * height / short), int(self.resize * width / short)]
            case _:  # longest
                long = max(height, width)
                target = [max(1, round(self.resize * height / long)), max(1, round(self.resize * width / long))]
        if target != [height, width]:
            pixels = tv.resize(pixels, target, interpolation=InterpolationMode(self.interpolation), antialias=True)
        return tv.center_crop(pixels, [self.size, self.size])

    def normalise(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, 3, S, S) uint8 -> `dtype` on the same device, (x / 255 - mean) / std. The arithmetic is float32."""
        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1) * 255
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1) * 255
        return ((pixels.float() - mean) / std).to(dtype)

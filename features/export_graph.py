"""Preprocessing and network as one graph for export: images of any size to features."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import normalize

from features.backbones.preprocess import CROP, Preprocess
from features.backbones.registry import LoadedBackbone

Size = Any  # int, or torch.SymInt while a graph is traced (torch's annotations lack it)


class ResizeAndCrop(nn.Module):
    """(B, 3, H, W) uint8 -> (B, 3, S, S) float32 of whole numbers: `Preprocess.pixels`, within 2 of 255 levels.

    It uses only what a graph can express: floats for the resize, integers for every size.
    """

    def __init__(self, preprocess: Preprocess, *, size: int, resize: int) -> None:
        super().__init__()
        self.fit, self.mode = preprocess.fit, preprocess.interpolation
        self.size, self.resize = size, resize

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        match self.fit:
            case "squash":
                target = [self.resize, self.resize]
            case "shortest":
                short = torch.sym_min(height, width)
                target = [self.resize * height // short, self.resize * width // short]
            case _:  # longest
                long = torch.sym_max(height, width)
                target = [torch.sym_max(1, half_even(self.resize * side, long)) for side in (height, width)]
        # First along rows, then along columns, rounded to bytes in between, as torchvision resizes bytes.
        pixels = self._resized(images.float(), [height, target[1]])
        pixels = self._resized(pixels, target)
        if self.fit == "longest":
            high, wide = (self.size - side for side in target)
            margins: list[Size] = [wide // 2, (wide + 1) // 2, high // 2, (high + 1) // 2]
            pixels = functional.pad(pixels, margins)
            return window(pixels, 0, 0, self.size)
        top, left = (half_even(side - self.size, 2) for side in target)
        return window(pixels, top, left, self.size)

    def _resized(self, pixels: Tensor, target: list[Size]) -> Tensor:
        resized = functional.interpolate(pixels, target, mode=self.mode, antialias=True)
        return (resized + 0.5).floor().clamp(0, 255)


class FeatureGraph(nn.Module):
    """(B, 3, H, W) uint8 -> (B, D) float32: the row of features.npy that a head takes (plain view, or average)."""

    def __init__(self, network: LoadedBackbone) -> None:
        super().__init__()
        own = network.preprocess
        self.module, self.normalise = network.module, own.normalise
        self.flip, self.crops = network.average and network.flip, network.crops if network.average else 0
        self.average, self.size = network.average, own.size
        self.plain = ResizeAndCrop(own, size=own.size, resize=own.resize)
        self.closer = ResizeAndCrop(own, size=round(own.size * CROP), resize=round(own.resize * CROP))

    def forward(self, images: Tensor) -> Tensor:
        plain = self.plain(images)
        views = [plain, plain.flip(-1)] if self.flip else [plain]
        if self.crops:
            large, far = self.closer(images), self.closer.size - self.size
            # In the order of torchvision's five_crop, with the centre first.
            offsets = [(half_even(far, 2),) * 2, (0, 0), (0, far), (far, 0), (far, far)]
            views += [window(large, top, left, self.size) for top, left in offsets[: self.crops]]
        features = [self.module(self.normalise(view, torch.float32)) for view in views]
        if not self.average:
            return features[0]
        return torch.stack([normalize(feature, dim=1) for feature in features]).mean(0)


class ConcatGraph(nn.Module):
    """The features of two graphs side by side, each of length 1 times its weight: `concat`."""

    def __init__(self, parts: tuple[nn.Module, nn.Module], weights: tuple[float, float]) -> None:
        super().__init__()
        self.parts, self.weights = nn.ModuleList(parts), weights

    def forward(self, images: Tensor) -> Tensor:
        parts = [normalize(part(images), dim=1) * weight for part, weight in zip(self.parts, self.weights, strict=True)]
        return torch.cat(parts, 1)


def window(images: Tensor, top: Size, left: Size, size: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size), with sides that are constants of the graph."""
    return images[:, :, top : top + size, left : left + size].reshape(images.shape[0], 3, size, size)


def half_even(above: Size, below: Size) -> Size:
    """`round(above / below)` of integers >= 0 in integer arithmetic: a half rounds to the even neighbour."""
    rounded, rest = (2 * above + below) // (2 * below), (2 * above + below) % (2 * below)
    return rounded - (rounded % 2) * (1 - torch.sym_min(rest, 1))

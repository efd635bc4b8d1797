"""open_clip: any of its models, with a published tag or a checkpoint; the features are those of `encode_image`."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.pretrained import download_pretrained, get_pretrained_cfg, list_pretrained_tags_by_model
from torch import Tensor, nn

from data.errors import did_you_mean
from data.files.atomic import sha256_file
from features.backbones.hub import hub_file, quiet
from features.backbones.pooling import GridPool, StagePool, check_stages
from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone
from features.backbones.weights import (
    local_file,
    not_fetched,
    parameter_megabytes,
    random_network,
    read_checkpoint,
    state_sha256,
)
from features.errors import FeatureError, one_line
from features.settings import Backbone

DISTRIBUTIONS = ("open_clip_torch", "timm")
Clip = Any  # a model of open_clip: an nn.Module with visual, encode_image, ... and no base class that has them
RESNET_STAGES = 5  # the stem and four layers


class ImageTower(nn.Module):
    """(B, 3, S, S) -> (B, D), not normalised."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor) -> Tensor:
        return self.clip.encode_image(images)


class SpatialFeatures(nn.Module):
    """(B, 3, S, S) -> (B, C * cells * cells): the image tower's map before pooling, of patch tokens for a ViT."""

    def __init__(self, clip: Clip, cells: int) -> None:
        super().__init__()
        self.visual, self.grid = clip.visual, GridPool(cells)

    def forward(self, images: Tensor) -> Tensor:
        out = self.visual.forward_intermediates(
            images, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NCHW"
        )
        return self.grid(out["image_intermediates"][-1])


class StageFeatures(nn.Module):
    """(B, 3, S, S) -> (B, D): the maps of `stages`, a ViT's blocks or a ResNet's layers, pooled by `StagePool`."""

    def __init__(self, clip: Clip, stages: tuple[int, ...], pool: StagePool, where: str) -> None:
        super().__init__()
        self.visual, self.stages, self.pool = clip.visual, list(stages), pool
        check_stages(stages, _stages(clip.visual), where)

    def forward(self, images: Tensor) -> Tensor:
        out = self.visual.forward_intermediates(
            images, indices=self.stages, stop_early=True, intermediates_only=True, output_fmt="NCHW"
        )
        return self.pool(out["image_intermediates"])


def _stages(visual: Any) -> int:
    """The number of stages that `forward_intermediates` gives."""
    if hasattr(visual, "trunk"):  # a network of timm
        return len(visual.trunk.feature_info)
    return len(visual.transformer.resblocks) if hasattr(visual, "transformer") else RESNET_STAGES


def _module(clip: Clip, entry: Backbone, where: str) -> nn.Module:
    if entry.stages:
        return StageFeatures(clip, entry.stages, StagePool(entry.grid, std_pool=entry.std_pool), where)
    return SpatialFeatures(clip, entry.grid) if entry.output == "grid" else ImageTower(clip)


def load(entry: Backbone, where: str) -> LoadedBackbone:
    """Build `entry.model` and fill it.

    Raises:
        FeatureError: unknown model or tag, a tag trained with the other GELU, weights that cannot be had or are of
            another network.
    """
    clip, digest, tag = _load_clip(entry, where)
    return LoadedBackbone(
        module=_module(clip, entry, where).eval(),
        preprocess=_preprocess(clip.visual.image_size, tag or clip.visual.preprocess_cfg),
        weights_sha256=digest,
        convolutional=any(isinstance(module, nn.BatchNorm2d) for module in clip.visual.modules()),
    )


def load_text_tower(entry: Backbone, where: str) -> Callable[[list[str]], Tensor]:
    """n texts -> (n, D) float32, comparable with the image features of the same entry. Errors as `load`."""
    clip = _load_clip(entry, where)[0].eval()
    tokenize = open_clip.get_tokenizer(entry.model)

    @torch.no_grad()
    def encode(texts: list[str]) -> Tensor:
        return clip.encode_text(tokenize(texts)).float()

    return encode


def _load_clip(entry: Backbone, where: str) -> tuple[Clip, str, dict[str, Any] | None]:
    """Both towers, the sha256 of their weights, and the published configuration of the tag."""
    if entry.model not in open_clip.list_models():
        known = open_clip.list_models()
        raise FeatureError(f"{where}.model: open_clip has no '{entry.model}'{did_you_mean(entry.model, known)}")
    tag = get_pretrained_cfg(entry.model, entry.weights)
    if tag:
        _check_gelu(entry, tag, where)
    if entry.weights == "random":
        clip = random_network(lambda: _build(entry, None, where))
        digest = state_sha256(clip.state_dict())
    else:
        path = _fetch(entry, tag, where) if tag else local_file(entry.weights, where, _tags(entry))
        if path.suffix not in (".npz", ".npy"):  # open_clip reads those itself: plain arrays of big_vision
            read_checkpoint(path, where)
        clip = _build(entry, path, where)
        digest = sha256_file(path)
    return clip, digest, tag


def _build(entry: Backbone, path: Path | None, where: str, device: str = "cpu") -> Clip:
    """By open_clip's constructor with its strict loading, without its warnings on stderr."""
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return open_clip.create_model(
                entry.model,
                pretrained=str(path) if path else None,
                device=device,
                force_image_size=entry.pixels,
                pretrained_text=False,
                require_pretrained=path is not None,
            )
    except (RuntimeError, KeyError) as error:
        raise FeatureError(
            f"{where}: {path or entry.model} is of another network ({one_line(error)}); "
            f"give the weights of the named model"
        ) from None


def _check_gelu(entry: Backbone, tag: dict[str, Any], where: str) -> None:
    """open_clip only warns, and the features are worse. ResNet towers have no GELU."""
    config = open_clip.get_model_config(entry.model) or {}
    tower = config["vision_cfg"]
    if "timm_model_name" in tower or not isinstance(tower.get("layers"), int):
        return
    trained, built = bool(tag.get("quick_gelu")), bool(config.get("quick_gelu"))
    if trained != built:
        base = entry.model.removesuffix("-quickgelu")
        raise FeatureError(
            f"{where}.model: '{entry.weights}' was trained {'with' if trained else 'without'} QuickGELU and "
            f"{entry.model} is built {'with' if built else 'without'} it; "
            f"set {where}.model to {base + '-quickgelu' if trained else base}"
        )


def _tags(entry: Backbone) -> list[str]:
    return list_pretrained_tags_by_model(entry.model)


def _fetch(entry: Backbone, tag: dict[str, Any], where: str) -> Path:
    """The tag's file: on the Hub as open_clip names it there, or at an address of its own."""
    repository, _, name = tag.get("hf_hub", "").rpartition("/")
    names = [name] if name else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    try:
        return hub_file(repository, names) if repository else Path(download_pretrained(tag))
    except (OSError, RuntimeError) as error:  # RuntimeError: of open_clip, for a wrong checksum
        what = f"{names[0]} of {repository}" if repository else tag["url"]
        with torch.device("meta"):
            size = parameter_megabytes(_build(entry, None, where, device="meta"))
        raise not_fetched(where, f"{what} ({entry.model}, {entry.weights})", size, "", error) from None


def _preprocess(size: int | tuple[int, int], config: dict[str, Any]) -> Preprocess:
    side = size if isinstance(size, int) else size[0]
    return Preprocess(
        size=side,
        resize=side,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        fit=config["resize_mode"],
    )

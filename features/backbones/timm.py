"""timm: any of its networks, with weights of a published tag, of an installed package, of a checkpoint, or random."""

import importlib
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
from timm.models import VisionTransformer
from torch import Tensor, nn

from data.errors import did_you_mean
from data.files.atomic import sha256_file
from features.backbones.hub import hub_file
from features.backbones.pooling import GridPool, StagePool, check_stages
from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone
from features.backbones.weights import (
    StateDict,
    from_package,
    load_strictly,
    local_file,
    not_fetched,
    parameter_megabytes,
    random_network,
    read_checkpoint,
    state_sha256,
)
from features.errors import FeatureError
from features.settings import Backbone

DISTRIBUTIONS = ("timm",)
HUB_FILE = "model.safetensors"
Timm = Any  # a network of timm: an nn.Module with pretrained_cfg, num_features, ... and no base class that has them


class SpatialFeatures(nn.Module):
    """(B, 3, S, S) -> (B, C * cells * cells): the network's map before pooling, of patch tokens for a transformer."""

    def __init__(self, network: Timm, cells: int, where: str) -> None:
        super().__init__()
        self.network, self.grid = network, GridPool(cells)
        self.prefix = getattr(network, "num_prefix_tokens", 0)
        self.where = where

    def forward(self, images: Tensor) -> Tensor:
        maps = self.network.forward_features(images)
        if maps.ndim == 3:  # (B, prefix + H * W, C)
            patches = maps[:, self.prefix :]
            side = math.isqrt(patches.shape[1])
            if side * side == patches.shape[1]:
                maps = patches.transpose(1, 2).unflatten(2, (side, side))
        if maps.ndim != 4 or maps.shape[1] != self.network.num_features:
            raise FeatureError(
                f"{self.where}.output: this network has no (B, C, H, W) map before pooling; set it to global"
            )
        return self.grid(maps)


class StageFeatures(nn.Module):
    """(B, 3, S, S) -> (B, D): the maps of `stages` as timm counts them (`feature_info`), pooled by `StagePool`."""

    def __init__(self, network: Timm, stages: tuple[int, ...], pool: StagePool, where: str) -> None:
        super().__init__()
        if not hasattr(network, "forward_intermediates"):
            raise FeatureError(f"{where}.stages: timm gives no maps of this network's stages; leave it empty")
        check_stages(stages, len(network.feature_info), where)
        self.network, self.stages, self.pool = network, list(stages), pool

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(
            self.network.forward_intermediates(
                images, indices=self.stages, stop_early=True, intermediates_only=True, output_fmt="NCHW"
            )
        )


def load(entry: Backbone, where: str) -> LoadedBackbone:
    """Build `entry.model` and fill it.

    Raises:
        FeatureError: unknown model or tag, weights that cannot be had or are of another network.
    """
    if not timm.is_model(entry.model):
        raise FeatureError(f"{where}.model: timm has no '{entry.model}'{did_you_mean(entry.model, timm.list_models())}")
    network: Timm = random_network(lambda: _built(entry)).eval()
    config = dict(network.pretrained_cfg)
    if entry.weights == "random":
        digest = state_sha256(network.state_dict())
    else:
        path, tag_config = _find(entry, where, network)
        config |= tag_config
        classifier = config.get("classifier") or ()
        names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        state = read_checkpoint(path, where)
        unused = tuple(f"{name}." for name in names)
        if entry.weights.startswith("package:"):
            state = in_order(state, timm.create_model(entry.model, pretrained=False), where)
        elif not _fits(network, state, unused):
            renamed = _renamed(entry.model, network, state)
            state = next((found for found in renamed if _fits(network, found, unused)), state)
        load_strictly(network, state, unused=unused, where=where, source=entry.weights)
        digest = sha256_file(path)
    if entry.stages:
        network = StageFeatures(network, entry.stages, StagePool(entry.grid, std_pool=entry.std_pool), where).eval()
    elif entry.output == "grid":
        network = SpatialFeatures(network, entry.grid, where).eval()
    return LoadedBackbone(
        module=network,
        preprocess=_preprocess(config, entry.pixels),
        weights_sha256=digest,
        convolutional=any(isinstance(m, nn.BatchNorm2d) for m in network.modules()),
    )


def _built(entry: Backbone) -> Timm:
    """Without a classifier. A transformer at another size than its own interpolates its position embeddings, as DINOv2
    was published to be used: patches of 14 at 224 pixels, trained at 518."""
    network: Timm = timm.create_model(entry.model, pretrained=False, num_classes=0)
    if entry.pixels in (None, network.pretrained_cfg["input_size"][-1]) or not isinstance(network, VisionTransformer):
        return network
    return timm.create_model(entry.model, pretrained=False, num_classes=0, dynamic_img_size=True)


def _fits(network: nn.Module, state: StateDict, unused: tuple[str, ...]) -> bool:
    """Whether `state` has a tensor of the right shape for every parameter of `network`, and none besides."""
    wanted = {name: value.shape for name, value in network.state_dict().items() if "num_batches_tracked" not in name}
    found = {
        name: value.shape
        for name, value in state.items()
        if "num_batches_tracked" not in name and not name.startswith(unused)
    }
    return wanted == found


def _renamed(model: str, network: nn.Module, state: StateDict) -> Iterator[StateDict]:
    """`state` under timm's names, by the filters that timm's module of `model` has for weights published elsewhere."""
    module = importlib.import_module(timm.models.model_entrypoint(model).__module__)
    for name, function in inspect.getmembers(module, inspect.isfunction):
        parameters = list(inspect.signature(function).parameters)
        if "filter" in name and parameters[:1] == ["state_dict"]:
            try:
                yield function(dict(state), *[network][: len(parameters) - 1])
            except (KeyError, IndexError, RuntimeError, AttributeError, ValueError, TypeError):
                continue  # a filter for other weights


def in_order(state: StateDict, network: nn.Module, where: str) -> StateDict:
    """Rename tensors that come in the network's own order under other names; each shape must fit.

    Raises:
        FeatureError: another number of tensors, or a shape that does not fit.
    """
    own = network.state_dict()
    fits = [a.shape == b.shape for a, b in zip(own.values(), state.values(), strict=False)]
    if len(own) != len(state) or not all(fits):
        raise FeatureError(
            f"{where}: the package's {len(state)} tensors are not this network's {len(own)}, in order and shape; "
            f"name the model that the weights belong to"
        )
    return dict(zip(own, state.values(), strict=True))


def _find(entry: Backbone, where: str, network: nn.Module) -> tuple[Path, dict]:
    """The weights file, and the published configuration of its tag, with its preprocessing."""
    if entry.weights.startswith("package:"):
        return from_package(entry.weights.removeprefix("package:"), where), {}
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{entry.model}.*")]
    if entry.weights not in tags:
        return local_file(entry.weights, where, tags), {}
    published = timm.get_pretrained_cfg(f"{entry.model}.{entry.weights}")
    assert published is not None, "list_pretrained has it"
    config = published.to_dict()
    try:
        path = hub_file(config["hf_hub_id"], [HUB_FILE])
    except OSError as error:
        what = f"{HUB_FILE} of {config['hf_hub_id']}"
        raise not_fetched(where, what, parameter_megabytes(network), "", error) from None
    return path, config


def _preprocess(config: dict, size: int | None) -> Preprocess:
    """`size` takes the whole of the shorter side; none takes the published size and crop."""
    own = config["input_size"][-1]
    return Preprocess(
        size=size or own,
        resize=size or int(own / config["crop_pct"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        fit="squash" if config.get("crop_mode") == "squash" else "shortest",
    )

"""torchvision's classification networks, with a published tag, a checkpoint, or random weights."""

import io
from contextlib import redirect_stderr
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum
from torchvision.models.resnet import ResNet

from data.errors import did_you_mean
from data.files.atomic import sha256_file
from features.backbones.pooling import GridPool, StagePool, check_stages
from features.backbones.preprocess import Preprocess
from features.backbones.registry import LoadedBackbone
from features.backbones.weights import (
    load_strictly,
    local_file,
    not_fetched,
    random_network,
    read_checkpoint,
    state_sha256,
)
from features.errors import FeatureError
from features.settings import Backbone

DISTRIBUTIONS = ()
MODELS = models.list_models(module=models)  # those of classification

RENORMALISED = ("inception_v3", "googlenet")
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # classifiers of Inception and GoogLeNet that only training uses


class StageFeatures(nn.Module):
    """(B, 3, S, S) -> (B, D): the maps of `stages` (0: first convolution, 1 to 4: layers), pooled by `StagePool`."""

    def __init__(self, network: ResNet, stages: tuple[int, ...], pool: StagePool, where: str) -> None:
        super().__init__()
        first = nn.Sequential(network.conv1, network.bn1, network.relu)
        parts = [first, nn.Sequential(network.maxpool, network.layer1), network.layer2, network.layer3, network.layer4]
        check_stages(stages, len(parts), where)
        self.parts, self.stages, self.pool = nn.ModuleList(parts[: stages[-1] + 1]), stages, pool

    def forward(self, images: Tensor) -> Tensor:
        maps = [images := part(images) for part in self.parts]
        return self.pool([maps[stage] for stage in self.stages])


def load(entry: Backbone, where: str) -> LoadedBackbone:
    """Build `entry.model` without the layer that names classes and fill it. Maps (`output: grid`) are those of ResNets.

    Raises:
        FeatureError: unknown model or tag, weights that cannot be had or are of another network, no maps.
    """
    if entry.model not in MODELS:
        hint = f"{did_you_mean(entry.model, MODELS)}; timm has more networks: library: timm"
        raise FeatureError(f"{where}.model: torchvision classifies with no '{entry.model}'{hint}")
    network = random_network(lambda: _built(entry.model)).eval()
    resnet = network if isinstance(network, ResNet) else None
    if entry.output == "grid" and resnet is None:
        raise FeatureError(f"{where}.output: only torchvision's ResNets give a grid; use library: timm")
    unused = (_without_classes(network), *AUXILIARY)
    tags = {tag.name: tag for tag in models.get_model_weights(entry.model)}
    tag = tags.get(entry.weights)
    if entry.weights == "random":
        digest = state_sha256(network.state_dict())
    else:
        path = _fetch(tag, where) if tag else local_file(entry.weights, where, list(tags))
        load_strictly(network, read_checkpoint(path, where), unused=unused, where=where, source=entry.weights)
        digest = sha256_file(path)
    if resnet and entry.stages:
        network = StageFeatures(resnet, entry.stages, StagePool(entry.grid, std_pool=entry.std_pool), where).eval()
    elif entry.output == "grid":
        before_pooling = list(network.children())[:-2]
        network = nn.Sequential(*before_pooling, GridPool(entry.grid)).eval()
    return LoadedBackbone(
        module=network,
        preprocess=_preprocess(
            tag or next(iter(tags.values())), entry.pixels
        ),  # of the oldest tag: most checkpoints were trained with it
        weights_sha256=digest,
        convolutional=any(isinstance(module, nn.BatchNorm2d) for module in network.modules()),
    )


def _built(model: str) -> nn.Module:
    """The architecture of the published weights: Inception and GoogLeNet then normalise their input again."""
    more = {"init_weights": True, "aux_logits": False, "transform_input": True} if model in RENORMALISED else {}
    return models.get_model(model, weights=None, **more)


def _without_classes(network: nn.Module) -> str:
    """Replace the layer of the classes: the last linear one, SqueezeNet's convolution. Returns its tensors' prefix."""
    if isinstance(network, models.SqueezeNet):
        network.add_module("classifier", nn.AdaptiveAvgPool2d(1))
        return "classifier."
    name = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return f"{name}."


def _fetch(tag: WeightsEnum, where: str) -> Path:
    """The tag's file in torch's own cache, downloaded and checked by torchvision when it is not there."""
    path = Path(torch.hub.get_dir(), "checkpoints", tag.url.rpartition("/")[2])
    try:
        with redirect_stderr(io.StringIO()):  # without "Downloading: ..."
            tag.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        raise not_fetched(where, path.name, tag.meta["_file_size"], f"put it at {path} or ", error) from None
    return path


def _preprocess(tag: WeightsEnum, size: int | None) -> Preprocess:
    """`size` takes the whole of the shorter side; none takes the size and crop that the tag was published with."""
    own = tag.transforms()
    return Preprocess(
        size=size or own.crop_size[0],
        resize=size or own.resize_size[0],
        mean=tuple(own.mean),
        std=tuple(own.std),
        interpolation="bicubic" if own.interpolation.value == "bicubic" else "bilinear",
    )

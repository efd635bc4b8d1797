"""`library: local`: the reports' small networks, and those that `finetune` trained, by the path of their weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from data.errors import did_you_mean
from data.files.atomic import sha256_file
from features.backbones.preprocess import Channels, Preprocess
from features.backbones.projection import with_projection
from features.backbones.registry import LoadedBackbone, load_backbone
from features.backbones.small_networks import (
    CifarResNet,
    Conv4,
    ConvNet2d,
    ConvNet2dRelu,
    ConvNet10d,
    ConvStrided,
    resnet18_64,
)
from features.backbones.weights import (
    StateDict,
    load_strictly,
    local_file,
    random_network,
    read_checkpoint,
    state_sha256,
)
from features.errors import FeatureError
from features.settings import Backbone
from features.storage.sealed_json import unseal

DISTRIBUTIONS = ("open_clip_torch", "timm")  # a network trained here may have started in either
TRAINED = "trained"  # the model whose weights are a network.safetensors of `finetune`, with network.json beside it
WEIGHTS, ABOUT = "network.safetensors", "network.json"
AGAIN = "copy both files anew, or run `dvc repro`; if that brings it back, `python -m pipeline check` first"
HALF = (0.5, 0.5, 0.5)

# model -> its constructor, and the pixels that it is designed for
MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "conv4": (Conv4, 28),
    "conv4_strided": (lambda: ConvStrided(32, 64, 128, 128), 28),
    "conv5_strided": (lambda: ConvStrided(32, 64, 128, 128, 256), 56),
    "convnet_2d": (ConvNet2d, 28),
    "convnet_2d_relu": (ConvNet2dRelu, 28),
    "convnet_10d": (lambda: ConvNet10d((16, 32), 3), 105),
    "convnet_10d_printed": (lambda: ConvNet10d((4, 16), 5), 105),
    "resnet18_64": (resnet18_64, 64),
    **{f"cifar_resnet{layers}": (lambda layers=layers: CifarResNet(layers), 32) for layers in (20, 32, 44, 56)},
}
# What pytorch-cifar-models normalises with, by the number of classes; akamaster's networks take ImageNet's.
CIFAR = {
    10: ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    100: ((0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)),
}


def load(entry: Backbone, where: str) -> LoadedBackbone:
    """Build `entry.model` and fill it.

    Raises:
        FeatureError: unknown model, weights that cannot be had or are of another network.
    """
    if entry.output != "global":
        raise FeatureError(
            f"{where}.output: networks of this library give one vector; set it to global, without stages"
        )
    if entry.model == TRAINED:
        return _trained(entry, where)
    if entry.model not in MODELS:
        known = [*MODELS, TRAINED]
        raise FeatureError(f"{where}.model: no '{entry.model}'{did_you_mean(entry.model, known)}")
    build, own = MODELS[entry.model]
    network, mean, std = random_network(build), HALF, HALF
    if entry.model.startswith("convnet_10d") and entry.pixels not in (None, own):
        raise FeatureError(f"{where}.pixels: {entry.model} is made for {own} pixels; set it to {own}")
    if entry.weights == "random":
        digest = state_sha256(network.state_dict())
    else:
        path = local_file(entry.weights, where, [])
        state = read_checkpoint(path, where)
        if isinstance(network, CifarResNet):
            network = _cifar_resnet(entry.model, state)
            mean, std = _cifar_normalisation(state)
        load_strictly(network, state, unused=("fc.", "linear."), where=where, source=entry.weights)
        digest = sha256_file(path)
    side = entry.pixels or own
    preprocess = Preprocess(size=side, resize=side, mean=mean, std=std, interpolation="bilinear")
    return LoadedBackbone(module=network.eval(), preprocess=preprocess, weights_sha256=digest, convolutional=True)


def _cifar_resnet(model: str, state: StateDict) -> CifarResNet:
    """With the kind of shortcuts that `state` has: models of both kinds have the same name."""
    layers, convolved = int(model.removeprefix("cifar_resnet")), any("downsample" in name for name in state)
    return random_network(lambda: CifarResNet(layers, convolved=convolved))


def _cifar_normalisation(state: StateDict) -> tuple[Channels, Channels]:
    if "fc.weight" in state:
        return CIFAR.get(len(state["fc.weight"]), (HALF, HALF))
    plain = Preprocess(size=32, resize=32)
    return plain.mean, plain.std


def _trained(entry: Backbone, where: str) -> LoadedBackbone:
    """The network that `finetune` wrote: built from its description, with its final weights."""
    path = local_file(entry.weights, where, [])
    about = description(path, where)
    state = read_checkpoint(path, where)
    try:
        preprocess = Preprocess.parse(about["preprocess"])
        base = _built(about, state)
    except (ValidationError, KeyError, TypeError):
        raise FeatureError(f"{where}.weights: {path.with_name(ABOUT)} was not written by finetune; {AGAIN}") from None
    if entry.pixels not in (None, preprocess.size):
        raise FeatureError(f"{where}.pixels: the network was trained at {preprocess.size}; leave it empty")
    load_strictly(base.module, state, unused=(), where=where, source=entry.weights)
    return replace(base, module=base.module.eval(), preprocess=preprocess, weights_sha256=about["weights_sha256"])


def description(weights: Path, where: str) -> dict[str, Any]:
    """network.json of a network trained here: the entry that it started from, or the description of that network.

    Raises:
        FeatureError: it is missing, or a bit of it or of the weights has changed.
    """
    path = weights.with_name(ABOUT)
    try:
        about = unseal(path.read_bytes())
    except FileNotFoundError:
        raise FeatureError(
            f"{where}.weights: {path} is missing: copy it from where {weights.name} comes from"
        ) from None
    except ValueError as error:
        raise FeatureError(f"{where}.weights: {path}: changed, or of another version ({error}); {AGAIN}") from None
    if about.get("weights_sha256") != sha256_file(weights):
        raise FeatureError(
            f"{where}.weights: {weights}: not the weights whose sha256 {ABOUT} has (cut off or changed); {AGAIN}"
        )
    return about


def _built(about: dict[str, Any], state: StateDict) -> LoadedBackbone:
    """The described network with random weights; `state` are the weights that it will get."""
    start = about["network"]
    if "network" in start:  # it started as a network trained here
        base = _built(start, state)
    else:
        base = load_backbone("network", Backbone.model_validate(start | {"weights": "random"}))
        if isinstance(base.module, CifarResNet):
            base = replace(base, module=_cifar_resnet(start["model"], state))
    return replace(base, module=with_projection(base.module, about["width"], about["dim"]))

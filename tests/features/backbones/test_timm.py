import re

import pytest
import timm
import torch
from torchvision import models

from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.settings import Backbone


def test_weights_under_torchvisions_names_load_as_timm_loads_them(tmp_path):
    """densenet: `denselayer1.norm.1` in published files, `denselayer1.norm1` in timm."""
    torch.manual_seed(0)
    own = models.densenet121(num_classes=7).eval()
    state = {re.sub(r"(norm|conv)([12])\b", r"\1.\2", name): value for name, value in own.state_dict().items()}
    torch.save(state, tmp_path / "old.pth")
    loaded = load_backbone("mine", Backbone(library="timm", model="densenet121", weights=str(tmp_path / "old.pth")))
    own.classifier = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.module(images), own(images))


def test_a_checkpoint_of_timm_itself_is_not_renamed(tmp_path):
    network = timm.create_model("densenet121", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    load_backbone("mine", Backbone(library="timm", model="densenet121", weights=str(tmp_path / "timm.pth")))


def test_a_filter_does_not_hide_that_weights_are_of_another_network(tmp_path):
    torch.save(models.resnet18().state_dict(), tmp_path / "resnet.pth")
    for model in ("densenet121", "convnext_atto", "vit_tiny_patch16_224"):
        with pytest.raises(FeatureError, match="is of another network"):
            load_backbone("mine", Backbone(library="timm", model=model, weights=str(tmp_path / "resnet.pth")))


def test_a_transformer_at_another_size_than_it_was_trained_at(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    entry = Backbone(library="timm", model="vit_tiny_patch16_224", weights=str(tmp_path / "vit.pth"), pixels=96)
    with torch.inference_mode():
        assert load_backbone("mine", entry).module(torch.randn(2, 3, 96, 96)).shape == (2, 192)

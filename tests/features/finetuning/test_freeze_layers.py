"""Which layers train: by the last blocks or by name."""

import open_clip
import pytest
import timm
import torch
from torch import nn
from torchvision.models import resnet18

from features.backbones.small_networks import CifarResNet, ConvNet2d
from features.errors import FeatureError
from features.finetuning.freeze_layers import blocks, choose_layers


def trained(network: nn.Module) -> set[str]:
    return {name for name, value in network.named_parameters() if value.requires_grad}


def test_blocks_are_residual_units_and_lone_layers():
    names = list(blocks(resnet18()))
    assert names[:3] == ["conv1", "bn1", "layer1.0"] and names[-3:] == ["layer4.0", "layer4.1", "fc"]
    assert list(blocks(CifarResNet(20)))[-1] == "layer3.2"
    assert list(blocks(ConvNet2d())) == [
        "conv1",
        "norm1",
        "conv2",
        "norm2",
        "conv3",
        "norm3",
        "hidden",
        "norm4",
        "last",
    ]


def test_blocks_of_transformers():
    with torch.device("meta"):
        vit = timm.create_model("vit_tiny_patch16_224", num_classes=0)
        clip = open_clip.create_model("ViT-B-32-quickgelu", device="meta").visual
    assert list(blocks(vit))[-2:] == ["blocks.11", "norm"]
    assert list(blocks(clip))[-2:] == ["transformer.resblocks.11", "ln_post"]


def test_all_freezes_nothing():
    network = CifarResNet(20)
    assert choose_layers(network, "all", 0, where="here") == []
    assert trained(network) == {name for name, _ in network.named_parameters()}


def test_the_last_blocks_train_and_the_rest_stays_in_eval_mode():
    network = CifarResNet(20)
    frozen = choose_layers(network, "last:2", 2, where="here")
    assert {name.rpartition(".")[0].rpartition(".")[0] for name in trained(network)} == {"layer3.1", "layer3.2"}
    assert network.bn1 in frozen and network.layer2 in frozen and network.layer3 not in frozen
    assert network.layer3[2].bn2 not in frozen and network not in frozen


def test_layers_by_name():
    network = CifarResNet(20)
    choose_layers(network, ("layer3.2.conv2", "bn1"), 0, where="here")
    assert trained(network) == {"layer3.2.conv2.weight", "bn1.weight", "bn1.bias"}


def test_dropout_of_a_part_that_trains_stays_on():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
    assert choose_layers(network, ("2",), 0, where="here") == [network[0]]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("layr3", "; did you mean 'layer3'?"),
        ("conv2", "; did you mean 'layer1.0.conv2'?"),  # inside another
        ("projection", "; set dim for a linear layer on the network"),
        ("head", ""),
    ],
)
def test_an_unknown_layer_is_one_line(name, hint):
    with pytest.raises(FeatureError) as error:
        choose_layers(CifarResNet(20), (name,), 0, where="finetunes.mine")
    assert str(error.value) == f"finetunes.mine.layers: this network has no layer '{name}'{hint}"

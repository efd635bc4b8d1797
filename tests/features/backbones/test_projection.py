"""The linear layer on top of a network: none unless asked for, and it alone can train."""

from torch import nn

from features.backbones.projection import with_projection
from features.finetuning.freeze_layers import choose_layers
from features.finetuning.settings import Finetune

NETWORK = {"library": "timm", "model": "resnet18", "weights": "random", "output": "grid"}


def test_without_a_width_nothing_is_on_top():
    network = nn.Identity()
    assert with_projection(network, 6, None) is network


def test_the_top_alone_can_train():
    entry = Finetune.model_validate({"network": NETWORK | {"stages": [1, 2]}, "dim": 4, "layers": ["projection"]})
    network = with_projection(nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6)), 6, 4)
    frozen = choose_layers(network, entry.layers, entry.last_blocks, where="finetunes.mine")
    assert [name for name, value in network.named_parameters() if value.requires_grad] == [
        "projection.weight",
        "projection.bias",
    ]
    assert network.network[1] in frozen and network.projection not in frozen

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from features.backbones.fuse_bn import fuse_batch_norms


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def trained(network: nn.Module) -> nn.Module:
    """Norms that do something, as after training."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.resnet18(),
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0),
        lambda: timm.create_model("resnet10t", num_classes=0),
    ],
)
def test_no_norm_is_left_and_nothing_else_changes(build):
    network = trained(build())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(3, 3, 64, 64)
    fused = fuse_batch_norms(network, torch.randn(2, 3, 64, 64))
    assert norms(network) > 0 and norms(fused) == 0
    with torch.inference_mode():
        wanted, got = network(images), fused(images)
    assert (wanted - got).abs().max() <= 1e-4 * wanted.abs().max()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Branching(nn.Module):
    """The convolution feeds the norm and something else: folding would change the something else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        maps = self.conv(images)
        return self.norm(maps).relu() + maps


class Twice(nn.Module):
    """One convolution, two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.a, self.b = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, images):
        return self.b(self.conv(self.a(self.conv(images))))


class Before(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)

    def forward(self, images):
        return self.conv(self.norm(images))


@pytest.mark.parametrize("kind", [Branching, Twice, Before, lambda: nn.Conv2d(3, 4, 1)])
def test_what_cannot_be_folded_stays_as_it_is(kind):
    network = trained(kind())
    assert fuse_batch_norms(network, torch.randn(2, 3, 8, 8)) is network

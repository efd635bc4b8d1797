"""The small networks of the reports, trained from scratch. All take (B, 3, S, S) and give (B, D)."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, pad, relu
from torchvision.models import resnet18


class ConvNet2d(nn.Module):
    """Of the MNIST plane: three convolutions, batch norms, pooling between them, two outputs. Greyscale, 28 pixels."""

    width = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.norm2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv3, self.norm3 = nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128)
        self.hidden, self.norm4 = nn.Linear(128, 64), nn.BatchNorm1d(64)
        self.last = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :1]  # the report's network has one input channel
        x = max_pool2d(self.norm1(self.conv1(x)), 2)
        x = max_pool2d(self.norm2(self.conv2(x)), 2)
        x = self.norm3(self.conv3(x)).mean((2, 3))  # 5 x 5 cells of 28 pixels: the report's avg_pool2d(x, 5)
        return self.last(self.norm4(self.hidden(x)))


class ConvNet2dRelu(nn.Module):
    """The layers of the MNIST plane with ReLU after every batch norm and pooling after the third convolution, whose
    3 x 3 cells are flattened. The report's network has no activation but pooling. Greyscale, 28 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.norm2 = nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.conv3, self.norm3 = nn.Conv2d(64, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128)
        self.hidden, self.norm4 = nn.Linear(128 * 9, 128, bias=False), nn.BatchNorm1d(128)
        self.last = nn.Linear(128, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :1]
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2), (self.conv3, self.norm3)):
            x = max_pool2d(relu(norm(conv(x))), 2)
        return self.last(relu(self.norm4(self.hidden(x.flatten(1)))))


class ConvNet10d(nn.Module):
    """Of the Omniglot alphabets: two convolutions, ten outputs. The report's text has 16 and 32 filters of 3 x 3; the
    summary that it prints has 120,438 parameters: those of 4 and 16 filters of 5 x 5 with a batch norm at both ends.
    """

    def __init__(self, filters: tuple[int, int], kernel: int) -> None:
        super().__init__()
        first, second = filters
        self.norm1 = nn.BatchNorm2d(3)
        self.conv1, self.conv2 = nn.Conv2d(3, first, kernel), nn.Conv2d(first, second, kernel)
        side = ((105 - kernel + 1) // 2 - kernel + 1) // 2
        self.norm2 = nn.BatchNorm1d(second * side**2)
        self.last = nn.Linear(second * side**2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = avg_pool2d(relu(self.conv1(self.norm1(x))), 2)
        x = avg_pool2d(relu(self.conv2(x)), 2)
        return self.last(self.norm2(x.flatten(1)))


class Conv4(nn.Module):
    """Four blocks of convolution, batch norm, ReLU and pooling, 64 filters each: the usual network for one-shot
    Omniglot (Vinyals et al. 2016, section 4.1). Greyscale, 28 pixels: 64 features.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = ((1, 64), (64, 64), (64, 64), (64, 64))
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
                for i, o in widths
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x[:, :1]).flatten(1)


class ConvStrided(nn.Module):
    """Blocks of convolution with stride 2, batch norm and ReLU; none computes at the full size, so four of them train
    five times as fast as `Conv4` on a CPU. Greyscale; 28 pixels give 2 x 2 cells after four blocks, 56 after five.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        kernels = (5, *[3] * (len(widths) - 1))
        kinds = zip((1, *widths), widths, kernels, strict=False)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(i, o, k, 2, padding=k // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU())
                for i, o, k in kinds
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x[:, :1]).flatten(1)


class CifarBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut. Where the width changes, the shortcut is every second pixel padded with
    zero channels (He et al. 2016, option A), or a 1 x 1 convolution (option B).
    """

    def __init__(self, width: int, out: int, *, convolved: bool) -> None:
        super().__init__()
        stride = out // width
        self.conv1, self.bn1 = nn.Conv2d(width, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.grows = out > width
        if self.grows and convolved:
            self.downsample = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.grows:
            missing = (y.shape[1] - x.shape[1]) // 2
            x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, missing, missing))
        return relu(x + y)


class CifarResNet(nn.Module):
    """ResNet for 32 pixels (He et al. 2016, section 4.2) without its classifier: 6n + 2 layers, 64 features.

    Tensors have the names of akamaster/pytorch_resnet_cifar10 and, with `convolved`, of chenyaofo/pytorch-cifar-models.
    """

    def __init__(self, layers: int, *, convolved: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)

        def stage(width: int, out: int) -> nn.Sequential:
            widths = [width, *[out] * ((layers - 2) // 6)]
            return nn.Sequential(*(CifarBlock(i, o, convolved=convolved) for i, o in pairwise(widths)))

        self.layer1, self.layer2, self.layer3 = stage(16, 16), stage(16, 32), stage(32, 64)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x))).mean((2, 3))


def resnet18_64() -> nn.Module:
    """ResNet18 for 64 pixels (Tiny ImageNet siamese): first convolution 3 x 3 with stride 1, no pooling after it."""
    network = resnet18(weights=None)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.add_module("maxpool", nn.Identity())
    network.add_module("fc", nn.Identity())
    return network

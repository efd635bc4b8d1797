"""Fuse batch norms into the convolutions before them: the same function with half of the passes over memory."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

TOLERANCE = 1e-4  # of the largest output, on random input: float32 rounding through some hundred layers


def fuse_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of `network` (eval mode, float32) without the batch norms that follow a convolution.

    They are found by a forward pass of `example` (B, 3, S, S): the output tensor of the convolution is the input of the
    norm. This works for any network. Returns `network` itself if there is nothing to fuse, or if the fused copy
    does not compute the same on `example` (a convolution that feeds other layers too).
    """
    fused = copy.deepcopy(network)
    with torch.no_grad():  # not inference_mode: its tensors would be the new weights
        pairs = _pairs(fused, example)
        for conv, norm in pairs:
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None and variance is not None, "`_pairs` takes norms with running statistics"
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias
            )
        skip = {id(norm): _after(norm) for _, norm in pairs}
        for module in list(fused.modules()):
            for name, child in module.named_children():
                if id(child) in skip:
                    setattr(module, name, skip[id(child)])
        if not pairs:
            return network
        expected, actual = network(example), fused(example)
    same = (expected - actual).abs().max() <= TOLERANCE * expected.abs().max()
    return fused if same else network


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    producers: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, so that its id is not reused
    pairs, calls, handles = [], {}, []

    def leaves_conv(conv: nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        producers[id(output)] = (conv, output)
        calls[conv] = calls.get(conv, 0) + 1

    def enters_norm(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        if id(inputs[0]) in producers:
            pairs.append((producers.pop(id(inputs[0]))[0], norm))

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(leaves_conv))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            handles.append(module.register_forward_pre_hook(enters_norm))
    network(example)
    for handle in handles:
        handle.remove()
    norms = [norm for _, norm in pairs]
    return [(conv, norm) for conv, norm in pairs if calls[conv] == 1 and norms.count(norm) == 1]


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What is left of a fused norm: nothing, or the activation that timm keeps inside it."""
    left = [getattr(norm, part) for part in ("drop", "act") if isinstance(getattr(norm, part, None), nn.Module)]
    return nn.Sequential(*(part for part in left if not isinstance(part, nn.Identity)))

"""AdamW in a few lines: importing torch.optim takes 2 s (it brings the compiler), more than training a head does."""

from collections.abc import Iterable

import torch
from torch import nn


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), equal to torch.optim.AdamW.

    Every step is element by element, so S seeds in one tensor do not see each other. `lr` may be set between steps.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.lr = lr
        self.weight_decay = weight_decay
        self.betas, self.eps = (0.9, 0.999), 1e-8
        self.count = 0
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.count += 1
        first, second = self.betas
        rate = self.lr / (1 - first**self.count)
        root = (1 - second**self.count) ** 0.5
        for parameter, mean, square in zip(self.parameters, self.means, self.squares, strict=True):
            if parameter.grad is None:
                continue
            mean.lerp_(parameter.grad, 1 - first)
            square.mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
            parameter.mul_(1 - self.lr * self.weight_decay)
            parameter.addcdiv_(mean, square.sqrt().div_(root).add_(self.eps), value=-rate)

"""AdamW as torch's public functional: `torch.optim.AdamW` imports the compiler when it is built (1.5 to 2.5 s), which
takes longer than training a head.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


@dataclass
class ParameterGroup:
    """Parameters with one weight decay, and with a learning rate of `lr_scale` times that of the step."""

    parameters: list[nn.Parameter]
    weight_decay: float = 0.0
    lr_scale: float = 1.0
    exp_avgs: list[Tensor] = field(init=False)
    exp_avg_sqs: list[Tensor] = field(init=False)
    steps: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.exp_avgs = [torch.zeros_like(p) for p in self.parameters]  # in the memory layout of the parameter
        self.exp_avg_sqs = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), equal to torch.optim.AdamW(fused=True)."""

    def __init__(self, *groups: ParameterGroup) -> None:
        self.groups = groups

    def zero_grad(self) -> None:
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update every parameter that has a gradient, in one fused pass over the weights."""
        for group in self.groups:
            moving = [i for i, parameter in enumerate(group.parameters) if parameter.grad is not None]
            if not moving:
                continue
            adamw(
                [group.parameters[i] for i in moving],
                [p.grad for p in group.parameters if p.grad is not None],
                [group.exp_avgs[i] for i in moving],
                [group.exp_avg_sqs[i] for i in moving],
                [],
                [group.steps[i] for i in moving],
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=lr * group.lr_scale,
                weight_decay=group.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Tensor]:
        """The moments and the step count of each parameter; the tensors are those in use, not copies."""
        state = {}
        for g, group in enumerate(self.groups):
            for name in ("exp_avgs", "exp_avg_sqs", "steps"):
                state |= {f"{g}.{name}.{i}": value for i, value in enumerate(getattr(group, name))}
        return state

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy the values into the tensors in use, which keep their memory layout: the fused kernel walks the memory of
        parameter, gradient and moments side by side and ignores strides, so that contiguous moments beside
        channels_last weights would be applied to other weights.
        """
        for name, value in self.state_dict().items():
            value.copy_(state[name])

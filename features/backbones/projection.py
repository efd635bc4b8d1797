"""A loaded network as one that trains: its image tower, with a linear layer on top if `dim` is set."""

from typing import Any

from torch import Tensor, nn


class WithProjection(nn.Module):
    """A network with a linear layer on top: (B, 3, S, S) -> (B, dim)."""

    def __init__(self, network: nn.Module, width: int, dim: int) -> None:
        super().__init__()
        self.network, self.projection = network, nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.network(x))


def with_projection(module: nn.Module, width: int, dim: int | None) -> nn.Module:
    """`module`, (B, 3, S, S) -> (B, width), with a linear layer to `dim` on top; None: without one.

    Of open_clip's models only the image tower is kept.
    """
    clip: Any = getattr(module, "clip", None)
    if type(clip).__name__ in ("CLIP", "CustomTextCLIP"):  # the others do more in encode_image
        module = clip.visual
    return module if dim is None else WithProjection(module, width, dim)

"""Which layers of a network train. The others keep their weights and the running statistics of their batch norms."""

from collections.abc import Iterator

from torch import nn

from data.errors import did_you_mean
from features.errors import FeatureError


def blocks(network: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the network's blocks in the order of its definition.

    A module is split into its children if it holds, at any depth, a list of modules that have children: so a ResNet's
    stages and a transformer's stack are split, and a residual block, whose lists hold single layers, is not.
    """
    for name, child in network.named_children():
        if not any(True for _ in child.parameters()):
            continue
        if _holds_blocks(child):
            yield from blocks(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def choose_layers(network: nn.Module, layers: str | tuple[str, ...], last: int, *, where: str) -> list[nn.Module]:
    """Let only `layers` train, and return the modules that must stay in eval mode.

    `last`: the number of last blocks; if 0, `layers` are names of modules or parameters.

    Raises:
        FeatureError: the network has no layer of one of the names.
    """
    if layers == "all":
        return []
    names = tuple(list(blocks(network))[-last:]) if last else layers
    known = [name for name, _ in network.named_parameters()]
    for name in names:
        if not any(_below(parameter, name) for parameter in known):
            raise FeatureError(f"{where}.layers: this network has no layer '{name}'{_hint(name, known)}")
    for parameter, value in network.named_parameters():
        value.requires_grad_(any(_below(parameter, name) for name in names))
    trains = [(module, [value.requires_grad for value in module.parameters()]) for module in network.modules()]
    return [module for module, flags in trains if flags and not any(flags)]


def _hint(name: str, known: list[str]) -> str:
    """The layer that may be meant: one of that name inside another, or the nearest spelling."""
    if name == "projection":
        return "; set dim for a linear layer on the network"
    parts = sorted({".".join(parameter.split(".")[:depth]) for parameter in known for depth in (1, 2, 3, 4)})
    inside = [part for part in parts if part.endswith(f".{name}")]
    return f"; did you mean '{inside[0]}'?" if inside else did_you_mean(name, parts)


def _below(parameter: str, name: str) -> bool:
    return parameter == name or parameter.startswith(f"{name}.")


def _holds_blocks(module: nn.Module) -> bool:
    lists = (part for part in module.modules() if isinstance(part, nn.Sequential | nn.ModuleList))
    return any(any(True for _ in child.children()) for one in lists for child in one.children())

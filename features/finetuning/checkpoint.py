"""The state of a training, in one file of the scratch cache: a killed run goes on from its last whole epoch."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from data.files.atomic import write_bytes


@dataclass(frozen=True)
class Checkpoint:
    """After `epoch` epochs. `best_state`: the network's tensors after the epoch `best`."""

    epoch: int
    waited: int  # the most epochs without a better score after which yet another one was run
    history: list[dict[str, float]]
    best: int
    best_score: float
    best_state: dict[str, Tensor]


def write_checkpoint(path: Path, state: Checkpoint, parts: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the file at once: a kill leaves the old one or the new one."""
    tensors = {f"now.{name}": value for name, value in parts.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_state.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    told = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "best_state"}
    content = save(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        metadata={"state": json.dumps(told)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def read_checkpoint(
    path: Path, parts: nn.Module, optimizer: torch.optim.Optimizer, *, patience: int
) -> Checkpoint | None:
    """Put `parts` and `optimizer` back where the file left them; None where there is no whole file, or where a run of
    this `patience` would have stopped before: what it ends with must not depend on what lies in the cache.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None
    if told["waited"] >= patience:
        return None

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    parts.load_state_dict(under("now."))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in under("optimizer.").items():
        index, _, kind = name.partition(".")
        moments.setdefault(int(index), {})[kind] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    return Checkpoint(**told, best_state=under("best."))

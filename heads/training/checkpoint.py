"""The state of a training after an epoch, as bytes: an interrupted run resumes from its last completed epoch.

It begins with the sha256 of the rest, so that one that is cut off or changed is recognised.
"""

import json
from dataclasses import dataclass, fields
from hashlib import sha256

from safetensors.torch import load, save
from torch import Tensor, nn

from heads.training.optimizer import AdamW

SHA256 = 32  # bytes


@dataclass(frozen=True)
class TrainingState:
    """The state after `epoch` epochs. `best_state`: the tensors of the kept module after the epoch `best`."""

    epoch: int
    waited: int  # the most epochs without a better score after which yet another one was run
    history: list[dict[str, float]]
    best: int
    best_score: float
    best_state: dict[str, Tensor]


def dump_checkpoint(state: TrainingState, modules: nn.Module, optimizer: AdamW) -> bytes:
    """`modules` are all that train, the loss included. Equal states give equal bytes."""
    tensors = {f"now.{name}": value for name, value in modules.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_state.items()}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.state_dict().items()}
    known = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "best_state"}
    content = save(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        metadata={"state": json.dumps(known)},
    )
    return sha256(content).digest() + content


def is_whole(checkpoint: bytes) -> bool:
    """Whether these are bytes that `dump_checkpoint` gave."""
    return sha256(checkpoint[SHA256:]).digest() == checkpoint[:SHA256]


def load_checkpoint(checkpoint: bytes, modules: nn.Module, optimizer: AdamW, *, patience: int) -> TrainingState | None:
    """Restore `modules` and `optimizer` to what `dump_checkpoint` saved: values are copied into the tensors in use,
    whose memory layout stays.

    Returns None and restores nothing if the checkpoint is damaged, or if a run of this `patience` would have stopped
    earlier: the result must not depend on the content of a cache.
    """
    if not is_whole(checkpoint):
        return None
    content = checkpoint[SHA256:]
    tensors = load(content)
    known = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["state"])
    if known["waited"] >= patience:
        return None

    def below(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    modules.load_state_dict(below("now."))
    optimizer.load_state_dict(below("optimizer."))
    return TrainingState(**known, best_state=below("best."))

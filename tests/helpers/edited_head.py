"""A trained head whose files say something else, with hashes that fit: what a check of values has to find."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from heads.head_json import dump_head_json


def edit_head(folder: Path, **changes: Any) -> None:
    """Other values of keys of head.json."""
    about = json.loads((folder / "head.json").read_text()) | changes
    del about["sha256"]
    (folder / "head.json").write_bytes(dump_head_json(about))


def edit_weights(folder: Path, change: Any) -> None:
    """`change`: Tensor -> Tensor, of each."""
    path = folder / "head.safetensors"
    tensors: dict[str, Tensor] = load(path.read_bytes())
    content = save({name: change(value) for name, value in tensors.items()})
    path.write_bytes(content)
    edit_head(folder, weights_sha256=sha256(content).hexdigest())

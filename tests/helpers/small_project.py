"""All six stages on a small part of the default data: the params, and how each stage is called."""

import shutil
from pathlib import Path

from project import TOP, set_params

NETWORK = {"library": "local", "model": "conv4", "weights": "random", "pixels": 16}
PARAMS = {
    "data__limit": 400,
    "data__candidates": 10,
    "backbones__small": NETWORK,
    "features__backbones": ["small"],
    "features__batch": 16,
    "finetunes": {"mine": {"network": NETWORK, "loss": "infonce", "batch": 32, "epochs": 3, "select": "top1"}},
    "concatenations": {"both": {"features": ["small", "mine"]}},
    "head__features": "both",
    "head__epochs": 10,
    "head__seeds": 2,
    "head__dim": 16,
    "scores__n_bootstrap": 100,
}
STAGES = {"prepare": [], "extract": ["small"], "finetune": ["mine"], "concat": ["both"], "train": [], "evaluate": []}


def write_params(folder: Path, **changes: object) -> None:
    """`params.yaml` of a folder in which stages can run, without DVC."""
    shutil.copy(TOP / "params.yaml", folder)
    set_params(folder, **PARAMS | changes)

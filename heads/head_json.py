"""head.json: settings, thresholds and origin of a head. It has the sha256 of both files, which every load checks."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from heads.calibration import Calibration
from heads.settings import Dimension, HeadSettings, Section

ABOUT = "head.json"
SHA256 = "sha256"  # the key that holds the sha256 of all others
Count = Annotated[int, Field(ge=0, lt=2**31)]


class HeadJson(Section):
    """The keys of head.json: those of `TrainedHead` without tensors. Numbers are finite."""

    settings: HeadSettings
    width: Dimension
    groups: Count
    thresholds: tuple[float, ...]
    calibration: Calibration
    best_epochs: tuple[Count, ...]
    features_sha256: str
    images_hash: str
    protocol_sha256: str
    weights_sha256: str  # of head.safetensors

    @model_validator(mode="after")
    def _one_for_each_seed(self) -> "HeadJson":
        seeds = self.settings.seeds
        if len(self.thresholds) != (1 if self.settings.ensemble else seeds) or len(self.best_epochs) != seeds:
            raise ValueError(f"{len(self.thresholds)} thresholds and {len(self.best_epochs)} epochs of {seeds} seeds")
        if self.calibration.slope < 0:
            raise ValueError(f"calibration.slope {self.calibration.slope}: it is at least 0")
        return self


def dump_head_json(about: dict[str, Any]) -> bytes:
    """The keys of `HeadJson` as JSON, and the sha256 of them all."""
    return (json.dumps(about | {SHA256: _digest(about)}, indent=2, sort_keys=True) + "\n").encode()


def parse_head_json(content: bytes) -> HeadJson:
    """
    Raises:
        KeyError: no sha256 in it. ValueError: not what `dump_head_json` wrote, or values that no head can have.
    """
    try:
        about = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(about, dict):
        raise ValueError("not an object with keys")
    if about.pop(SHA256) != _digest(about):
        raise ValueError("cut off or changed: its sha256 is another")
    return HeadJson.model_validate(about)


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

"""The `backbones` and `features` sections of params.yaml. No heavy import: they are read before anything else."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Backbone(BaseModel):
    """One entry of the catalogue: where a network and its weights come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    library: Literal["timm", "torchvision", "open_clip"]
    model: str
    weights: str  # a published tag, `package:<name>`, a path to a checkpoint, or `random`
    size: int | None = Field(None, ge=16, le=1024)  # pixels; none: the network's own


class FeatureSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    backbones: tuple[str, ...] = Field(min_length=1)
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch: int | None = Field(None, ge=1)  # none: what suits the device
    workers: int | None = Field(None, ge=0, le=256)  # processes that decode; none: one a core

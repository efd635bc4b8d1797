"""The `head` and `scores` sections of params.yaml. No heavy import: they are read before anything else."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class HeadSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    features: str
    model: Literal["identity", "linear", "mlp"] = "linear"
    loss: Literal["contrastive", "triplet"] = "contrastive"
    seeds: int = Field(3, ge=1, le=64)


class ScoreSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

"""The `data` section of params.yaml. No heavy import: it is read before anything else."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Splits(BaseModel):
    """Shares of groups (or families of groups) for each split; they add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    train: float = Field(0.6, gt=0, lt=1)
    val: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.3, gt=0, lt=1)

    @model_validator(mode="after")
    def _add_up(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train, val and test add up to {self.train + self.val + self.test:g}, not to 1")
        return self


class Episodes(BaseModel):
    """K-way N-shot episodes; without `way`, as many groups as a part of the data has, 20 at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    count: int = Field(1000, ge=1)
    way: int | None = Field(None, ge=2)
    shot: int = Field(1, ge=1)
    queries: int = Field(5, ge=1)


class DataSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Literal["emoji"] = "emoji"  # the keys of data.catalogue.CATALOGUE
    path: Path | None = None
    candidates: int = Field(20, ge=2)
    splits: Splits = Splits()
    pairs: int = Field(10_000, ge=2)
    triplets: int = Field(10_000, ge=1)
    episodes: Episodes = Episodes()

"""The `data` section of params.yaml. No heavy import: it is read before anything else."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# The default of `data.path`. DVC wants a path that exists, and the catalogue, where published data sets are defined, is
# a dependency of `prepare` anyway.
CATALOGUE_PATH = Path("data/catalogue.py")


class Splits(BaseModel):
    """Shares of what the data set leaves to us to split; they add up to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    train: float = Field(default=0.6, gt=0, lt=1)
    val: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.3, gt=0, lt=1)

    @model_validator(mode="after")
    def _add_up(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train, val and test add up to {self.train + self.val + self.test:g}, not to 1")
        return self


class Episodes(BaseModel):
    """K-way N-shot episodes; without `way`, as many groups as a part of the data has, 20 at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    count: int = Field(default=1000, ge=1)
    way: int | None = Field(default=None, ge=2)
    shot: int = Field(default=1, ge=1)
    queries: int = Field(default=5, ge=1)


class DataSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = "emoji"  # an entry of data.catalogue
    path: Path = CATALOGUE_PATH  # where the data lie: the catalogue knows the addresses of published sets
    mirror: str | None = None  # a folder or URL with <dataset>/<archive> and SHA256SUMS
    group: str | None = None  # what "alike" means, where the data set offers a choice; the label column of a table
    groups: int | None = Field(default=None, ge=2)  # use only the first groups
    limit: int | None = Field(default=None, ge=2)  # use only so many images, balanced over groups
    seen: float | int | tuple[str, ...] | None = None  # groups training may see: a share, a count, or their names
    split_by: Literal["image", "group"] | None = None  # group: then no group is in two splits
    splits: Splits = Splits()
    folds: int | None = Field(default=None, ge=2, le=100)  # each the test once
    fold: int = Field(default=0, ge=0)  # the one that is the test now
    candidates: int | None = Field(default=None, ge=2)  # images in a list; null: 20, fewer if the test is small
    pairs: int = Field(default=10_000, ge=2)  # scored per split and subset, half of them positive
    triplets: int = Field(default=10_000, ge=1)  # scored per subset
    episodes: Episodes = Episodes()
    max_rejected: float | None = Field(default=None, ge=0, le=1)  # share of images that may be unusable
    allow_leak: bool | None = None  # may one picture lie in two splits?

    @field_validator("seen", mode="before")
    @classmethod
    def _seen(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if not value:
                raise ValueError("an empty list: training would see nothing")
            return tuple(str(name) for name in value)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise ValueError(f"{value!r}: give a share (0.5), a count (50) or a list of groups")
        if isinstance(value, float) and not 0 < value <= 1:
            raise ValueError(f"{value:g}: a share lies above 0 and is at most 1; a count has no decimal point")
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{value}: training must see at least one group")
        return value

    @model_validator(mode="after")
    def _fold(self) -> "DataSettings":
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"data.fold is {self.fold}, and data.folds {self.folds}: folds are 0 to {self.folds - 1}")
        return self

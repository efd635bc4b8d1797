"""The `backbones`, `features` and `concatenations` sections of params.yaml. No heavy import: they are read first."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.backbones.libraries import Library

Stage = Annotated[int, Field(ge=0)]
Channel = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Backbone(BaseModel):
    """One entry of `backbones`: a network, its weights, its preprocessing, and which outputs are the features."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    library: Library
    model: str
    weights: str  # a published tag, `package:<name>`, a path to a checkpoint, or `random`
    # Not "size": DVC leaves keys of that name out of its run-cache key and would restore stale features.
    pixels: int | None = Field(
        default=None, ge=16, le=1024
    )  # of the shorter side, without a crop; null: the published size and crop
    # Per channel, of pixels in 0..1, in place of the published values: for a checkpoint that was trained with others.
    mean: tuple[Channel, Channel, Channel] | None = None
    std: tuple[Deviation, Deviation, Deviation] | None = None
    interpolation: Literal["bicubic", "bilinear"] | None = None
    output: Literal["global", "grid"] = "global"  # grid: the map before pooling, averaged over grid x grid cells
    grid: int = Field(default=2, ge=1, le=8)
    stages: tuple[
        Stage, ...
    ] = ()  # with output grid: the maps of these stages, each of length 1, in place of the last map
    std_pool: bool = False  # with stages: also each cell's standard deviation, of length 1 per map
    flip: bool = False  # one more view: the mirror image
    crops: int = Field(default=0, ge=0, le=5)  # more views: 7/8 of the side, at the centre and the corners
    average: bool = False  # one vector, the mean of the views (each of length 1), in place of one per view

    @model_validator(mode="after")
    def _fit_together(self) -> "Backbone":
        if self.stages and self.output != "grid":
            raise ValueError("stages are maps, not one vector: set output to grid")
        if list(self.stages) != sorted(set(self.stages)):
            raise ValueError(f"stages {list(self.stages)}: name each once, in ascending order")
        if self.std_pool and not self.stages:
            raise ValueError("std_pool needs the maps of stages: name some in stages")
        if self.model == "trained" and (self.mean or self.std or self.interpolation):
            raise ValueError("mean, std and interpolation of a network trained here are its own: leave them out")
        return self

    @property
    def views(self) -> list[str]:
        """Names of the views, in the order of axis 1 of (N, V, D)."""
        corners = ["centre", "top left", "top right", "bottom left", "bottom right"]
        return ["plain"] + ["flip"] * self.flip + corners[: self.crops]


class ComputeSettings(BaseModel):
    """How fast networks run, not what they compute: no stage depends on these keys, so an edit runs nothing again."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    batch: int | None = Field(default=None, ge=1)  # null: 16 images on a CPU, 256 on a GPU
    workers: int | None = Field(default=None, ge=0, le=256)  # processes that decode; null: one per core
    compile: bool = False  # torch.compile: pays from about 100,000 images on
    engine: Literal["local", "ray"] = "local"  # ray: every machine of a Ray cluster


class FeatureSettings(ComputeSettings):
    backbones: tuple[str, ...] = Field(min_length=1)
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"


class Concatenation(BaseModel):
    """Two feature sets side by side, each of length 1 times its weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    features: tuple[str, str]
    weights: tuple[float, float] = (1.0, 1.0)

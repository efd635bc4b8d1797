"""The `finetunes` section of params.yaml. No heavy import: it is read before anything else."""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from features.settings import Backbone
from heads.settings import Dimension, HeadModel, HeadSettings, Objective, Section

LAYERS = "all, last:2 (the last blocks), or a list of names ([layer4, fc])"


class Augment(Section):
    """Random changes of each training image at every step. All are off by default."""

    shift: float = Field(default=0.0, ge=0, le=0.5)  # at most, as a share of the side, in whole pixels
    flip: bool = False  # mirrored, one time in two
    rotate: float = Field(default=0.0, ge=0, le=180)  # degrees, at most
    scale: float = Field(default=0.0, ge=0, lt=1)  # 0.2: between 0.8 and 1.2 times as large
    shear: float = Field(default=0.0, ge=0, lt=90)  # degrees, at most
    crop: float = Field(default=1.0, gt=0, le=1)  # a window of at least this share of the area, enlarged
    rotations: bool = False  # by 90, 180 and 270 degrees, as groups of their own: an epoch is four times as long


class Finetune(Objective):
    """One network trained here. Keys that `head` has too mean the same here."""

    network: Backbone  # as an entry of backbones: the network before training
    dim: Dimension | None = None  # width of a linear layer on it, `projection`, part of the network; null: none
    layers: Literal["all"] | Annotated[str, Field(pattern=r"last:")] | tuple[str, ...] = "all"  # that train
    augment: Augment = Augment()
    head: HeadModel = HeadModel(model="identity")  # trained on top of the network, not part of the result
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on GPUs that have it

    @property
    def objective(self) -> HeadSettings:
        """As settings of a head, which the code of heads/ takes: the loss, the batches, and the head on top."""
        shared = {name: getattr(self, name) for name in Objective.model_fields}
        return HeadSettings(features="", transform="none", seeds=1, **shared, **self.head.model_dump())

    @property
    def last_blocks(self) -> int:
        """N of `last:N`, else 0."""
        return int(self.layers.removeprefix("last:")) if isinstance(self.layers, str) and self.layers != "all" else 0

    @field_validator("layers", mode="before")
    @classmethod
    def _known_layers(cls, layers: object) -> object:
        names = isinstance(layers, list | tuple) and layers and all(isinstance(name, str) for name in layers)
        if not names and not (isinstance(layers, str) and re.fullmatch(r"all|last:[1-9]\d{0,3}", layers)):
            raise ValueError(f"no '{layers}'; known: {LAYERS}")
        return layers

    @model_validator(mode="after")
    def _fit_together(self) -> "Finetune":
        if self.network.stages and self.last_blocks:
            raise ValueError("last blocks are those of a whole network: name layers, or leave network.stages empty")
        if self.of_user:
            raise ValueError(f"loss {self.loss}: a function of your own is for head.loss; name one of the losses here")
        try:
            _ = self.objective
        except ValidationError as error:
            raise ValueError(str(error.errors()[0].get("ctx", {}).get("error", error))) from None
        return self

"""The `head` and `scores` sections of params.yaml. No heavy import: they are read before anything else."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EMBEDDERS = ("identity", "linear", "mlp", "residual", "pseudo_class")  # similarity is a distance of embeddings
PAIR_MODELS = ("pair_bc", "pair_mlp", "distance_logit")  # similarity is the logit of a classifier of the pair

# A margin is a distance for contrastive and a gap between similarities for triplet: one number cannot suit both.
MARGINS = {"contrastive": 0.7, "triplet": 0.2}

Model = Literal["identity", "linear", "mlp", "residual", "pseudo_class", "pair_bc", "pair_mlp", "distance_logit"]
Loss = Literal["contrastive", "triplet"]
NEGATIVES = ("in_batch", "semihard", "hard", "random:19", "offline:5")  # random and offline: any count
Dimension = Annotated[int, Field(ge=1, le=65536)]


class HeadSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    features: str  # a feature set: an entry of features.backbones, fusions or finetunes

    # Model
    transform: Literal["none", "l2", "center", "standardize", "whiten"] = "l2"  # fitted on train only
    model: Model = "linear"
    hidden: tuple[Dimension, ...] = ()
    dim: Dimension | None = None  # width of the embedding; null: that of the input
    classifier: tuple[Dimension, ...] = ()  # pair_bc, pair_mlp: hidden widths of the classifier of the pair
    norm: Literal["none", "layer"] = "none"
    dropout: float = Field(0.0, ge=0, lt=1)

    # Loss
    loss: Loss = "contrastive"
    distance: Literal["cosine", "euclidean", "squared_euclidean"] = "cosine"
    margin: float | None = Field(None, gt=0)  # null: the loss's own, see MARGINS
    negatives: str = "in_batch"  # one of NEGATIVES
    relative_margin: float | None = Field(None, ge=0, lt=1)  # offline: no negative above (1 - this) x the positive
    max_score: float | None = None  # offline: no negative above this similarity

    # Training
    batch: int = Field(256, ge=4)  # images a step (with `random:19`: anchors and positives; negatives come on top)
    images_per_group: int = Field(2, ge=2)  # K of P groups x K images
    epochs: int = Field(30, ge=1)
    lr: float = Field(1e-3, gt=0)
    noise: float = Field(0.0, ge=0)  # length of Gaussian noise on each input, as a share of a unit vector
    mixup: float = Field(0.0, ge=0)  # alpha of mix-up's Beta distribution; 0: none
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: int = Field(10, ge=1)  # epochs without a better val score before a seed stops
    select: Literal["top1", "top2", "top5"] = "top2"  # the val score that picks the epoch
    seeds: int = Field(3, ge=1, le=64)  # this many heads, from seed, seed + 1, ...
    ensemble: bool = False  # score the mean of their similarities as one

    @property
    def loss_margin(self) -> float:
        return self.margin or MARGINS[self.loss]

    @property
    def negatives_kind(self) -> str:
        return self.negatives.partition(":")[0]

    @property
    def negatives_count(self) -> int:
        """N of `random:N` and `offline:N`; 0 for the kinds that look inside the batch."""
        return int(re.sub(r"\D", "", self.negatives) or 0)

    @field_validator("negatives")
    @classmethod
    def _known_negatives(cls, negatives: str) -> str:
        if not re.fullmatch(r"in_batch|semihard|hard|(random|offline):[1-9]\d{0,3}", negatives):
            raise ValueError(f"no '{negatives}'; known: {', '.join(NEGATIVES)}")
        return negatives

    @model_validator(mode="after")
    def _fit_together(self) -> "HeadSettings":
        if self.batch % self.images_per_group:
            raise ValueError(f"batch {self.batch} is not a multiple of images_per_group {self.images_per_group}")
        return self


class ScoreSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    draws: int = Field(1000, ge=100)  # of the bootstrap
    gallery: int = Field(6, ge=1, le=50)  # queries shown as gained, and as lost

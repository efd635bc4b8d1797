"""The `head` and `scores` sections of params.yaml. No heavy import: they are read before anything else."""

import re
from difflib import get_close_matches
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# Similarity is a distance of embeddings.
EMBEDDERS = ("identity", "linear", "mlp", "residual", "pseudo_class", "membership")
PAIR_MODELS = ("pair_bc", "pair_mlp", "distance_logit")  # similarity is the logit of a classifier of the pair

# A margin is a distance for contrastive and a gap between similarities for triplet: one number cannot suit both.
MARGINS = {"contrastive": 0.7, "triplet": 0.2}

# `head.loss_args` of our own losses; those of pytorch-metric-learning take what their classes take.
ARGUMENTS: dict[str, dict[str, float]] = {
    "contrastive": {"every_negative": False},  # the mean over all negatives, as reports have it; else those inside
}

# One loss has one spelling: other names of a loss -> the one that is meant.
OTHER_NAMES = {
    "angular": "AngularLoss",
    "multi_similarity": "MultiSimilarityLoss",
    "proxy_anchor": "ProxyAnchorLoss",
    "ContrastiveLoss": "contrastive",
    "TripletMarginLoss": "triplet",
    "NTXentLoss": "infonce",
    "SupConLoss": "supcon",
    "NormalizedSoftmaxLoss": "cross_entropy",
}

Model = Literal[
    "identity", "linear", "mlp", "residual", "pseudo_class", "membership", "pair_bc", "pair_mlp", "distance_logit"
]
OwnLoss = Literal["contrastive", "triplet", "infonce", "supcon", "cross_entropy", "bce"]
LibraryLoss = Literal[  # of pytorch-metric-learning, by their class names: tests/heads/test_library_losses.py
    "AngularLoss",
    "ArcFaceLoss",
    "CircleLoss",
    "CosFaceLoss",
    "FastAPLoss",
    "GeneralizedLiftedStructureLoss",
    "HistogramLoss",
    "InstanceLoss",
    "IntraPairVarianceLoss",
    "LargeMarginSoftmaxLoss",
    "LiftedStructureLoss",
    "MarginLoss",
    "MultiSimilarityLoss",
    "NCALoss",
    "NPairsLoss",
    "P2SGradLoss",
    "PNPLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "RankedListLoss",
    "SignalToNoiseRatioContrastiveLoss",
    "SmoothAPLoss",
    "SoftTripleLoss",
    "SphereFaceLoss",
    "SubCenterArcFaceLoss",
    "TupletMarginLoss",
]
Loss = Literal[OwnLoss, LibraryLoss]
LIBRARY_LOSSES = get_args(LibraryLoss)
# Losses that need no list of negatives, only embeddings and groups.
WITHOUT_NEGATIVES = ("cross_entropy", *LIBRARY_LOSSES)
OF_LOGITS = ("bce", "triplet", "infonce", "supcon")  # a logit is no distance and no cosine
NEGATIVES = ("in_batch", "semihard", "hard", "random:19", "offline:5")  # random and offline: any count
# top-k is in lists of candidates, the others in the whole gallery.
Select = Literal["top1", "top2", "top5", "recall_at_1", "mrr", "map_at_r"]
Dimension = Annotated[int, Field(ge=1, le=65536)]


class HeadModel(BaseModel):
    """What is between features and embedding, or between a pair of features and its logit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model = "linear"
    hidden: tuple[Dimension, ...] = ()
    dim: Dimension | None = None  # width of the embedding; null: that of the input
    classifier: tuple[Dimension, ...] = ()  # pair_bc, pair_mlp: hidden widths of the classifier of the pair
    norm: Literal["none", "layer"] = "none"
    dropout: float = Field(0.0, ge=0, lt=1)


class Objective(BaseModel):
    """What is minimised and how: the same for a head and for a network (features/finetuning/settings.py)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Loss
    loss: Loss = "contrastive"
    distance: Literal["cosine", "euclidean", "squared_euclidean"] = "cosine"
    margin: float | None = Field(None, gt=0)  # null: the loss's own, see MARGINS
    margin_on: Literal["distance", "squared"] = "distance"  # contrastive: max(margin - d, 0)^2, or max(margin - d^2, 0)
    temperature: float = Field(0.07, gt=0)  # supcon, cross_entropy, membership; infonce learns its own from here
    loss_args: dict[str, float | int | bool | str] = {}  # further arguments, see ARGUMENTS
    negatives: str = "in_batch"  # one of NEGATIVES
    relative_margin: float | None = Field(None, ge=0, lt=1)  # offline: no negative above (1 - this) x the positive
    max_score: float | None = None  # offline: no negative above this similarity

    # Training
    batch: int = Field(256, ge=4)  # images a step (with `random:19`: anchors and positives; negatives come on top)
    images_per_group: int = Field(2, ge=2)  # K of P groups x K images
    epochs: int = Field(30, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: int = Field(10, ge=1)  # epochs without a better val score before a seed stops
    select: Select = "top2"  # the val score that picks the epoch

    @property
    def loss_margin(self) -> float:
        return self.margin or MARGINS.get(self.loss, 0.0)

    @property
    def arguments(self) -> dict[str, float]:
        """The further arguments of a loss of ours."""
        return ARGUMENTS.get(self.loss, {}) | self.loss_args

    @property
    def negatives_kind(self) -> str:
        return self.negatives.partition(":")[0]

    @property
    def negatives_count(self) -> int:
        """N of `random:N` and `offline:N`; 0 for the kinds that look inside the batch."""
        return int(re.sub(r"\D", "", self.negatives) or 0)

    @field_validator("loss", mode="before")
    @classmethod
    def _one_spelling(cls, loss: object) -> object:
        if isinstance(loss, str) and loss in OTHER_NAMES:
            raise ValueError(f"'{loss}' is '{OTHER_NAMES[loss]}' here: write that")
        return loss

    @field_validator("negatives")
    @classmethod
    def _known_negatives(cls, negatives: str) -> str:
        if not re.fullmatch(r"in_batch|semihard|hard|(random|offline):[1-9]\d{0,3}", negatives):
            raise ValueError(f"no '{negatives}'; known: {', '.join(NEGATIVES)}")
        return negatives


class HeadSettings(HeadModel, Objective):
    features: str  # a feature set: an entry of features.backbones, concatenations or finetunes
    transform: Literal["none", "l2", "center", "standardize", "whiten"] = "l2"  # fitted on train only
    components: Dimension | None = None  # whiten: so many principal directions, and an input so wide; null: all
    whitening: float = Field(1.0, ge=0, le=1)  # whiten: power of the deviation that each is divided by; 0: none
    cosine_weight: float = Field(0.0, ge=0, lt=1)  # share of plain cosine kept beside the learned similarity
    noise: float = Field(0.0, ge=0)  # length of Gaussian noise on each input, as a share of a unit vector
    mixup: float = Field(0.0, ge=0)  # alpha of mix-up's Beta distribution; 0: none
    seeds: int = Field(3, ge=1, le=64)  # this many heads, from seed, seed + 1, ...
    ensemble: bool = False  # score the mean of their similarities as one

    @model_validator(mode="after")
    def _fit_together(self) -> "HeadSettings":
        if self.batch % self.images_per_group:
            raise ValueError(f"batch {self.batch} is not a multiple of images_per_group {self.images_per_group}")
        if self.transform != "whiten" and (self.components is not None or self.whitening != 1):
            raise ValueError("components and whitening are of transform whiten: set that, or leave them null and 1.0")
        problem = self._loss_problem()
        if problem:
            raise ValueError(problem)
        return self

    def _loss_problem(self) -> str | None:
        """Why the loss cannot work with the rest, and what to do: one line; or None."""
        loss, models = f"loss {self.loss}", f"{', '.join(PAIR_MODELS)} or pseudo_class"
        losses = " or".join(", ".join(OF_LOGITS).rsplit(",", 1))
        if self.loss == "bce" and self.model not in (*PAIR_MODELS, "pseudo_class"):
            return (
                f"{loss} needs a probability of a pair, which model {self.model} does not give: choose model {models}"
            )
        if self.cosine_weight and (self.model in PAIR_MODELS or self.distance != "cosine"):
            return "cosine_weight mixes two cosines: set distance to cosine and model to one that embeds, or it to 0"
        if self.model in ("pseudo_class", "membership") and self.distance != "cosine":
            return f"model {self.model} compares by cosine: set distance to cosine"
        if self.model in PAIR_MODELS and self.loss not in OF_LOGITS:
            return f"{loss} cannot use the logits of model {self.model}: choose loss {losses}"
        if self.loss in LIBRARY_LOSSES and self.distance != "cosine":
            return f"{loss} is made for cosines: set distance to cosine"
        if self.loss in WITHOUT_NEGATIVES and self.negatives != "in_batch":
            return f"{loss} has no negatives to choose: set negatives to in_batch"
        instead = ", loss_args to what its class takes" if self.loss in LIBRARY_LOSSES else ""
        if self.margin is not None and self.loss not in MARGINS:
            return f"{loss} takes no margin here: set margin to null{instead}"
        if self.margin_on != "distance" and self.loss != "contrastive":
            return f"margin_on {self.margin_on} is a spelling of contrastive, not of {self.loss}: set it to distance"
        known = ARGUMENTS.get(self.loss, {})
        for name, value in self.loss_args.items() if self.loss not in LIBRARY_LOSSES else ():
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"
                return f"loss_args: {self.loss} has no argument '{name}'; {hint}"
            if isinstance(known[name], bool):
                if not isinstance(value, bool):
                    return f"loss_args: {name} is {value!r}: give true or false"
            elif isinstance(value, bool | str) or value <= 0:
                return f"loss_args: {name} is {value!r}: give a number above 0"
        return None


class ScoreSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    n_bootstrap: int = Field(1000, ge=100)  # resamples per interval
    gallery: int = Field(6, ge=1, le=50)  # queries shown as gained, and as lost
    queries: int | None = Field(None, ge=10)  # that are ranked in the gallery; null: all of the test split
    # Scores after re-ranking, beside the others.
    rerank: Literal["none", "csls", "one_to_one", "query_expansion", "k_reciprocal"] = "none"

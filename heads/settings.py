"""The `head` and `scores` sections of params.yaml. No heavy import: they are read before anything else."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from heads.errors import HeadError, nearest_or_known
from heads.setting_rules import ARGUMENTS, MARGINS, Embedder, PairModel, problem

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

Model = Literal[Embedder, PairModel]
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
LIBRARY_LOSSES = get_args(LibraryLoss)
LOSSES = (*get_args(OwnLoss), *LIBRARY_LOSSES)
CODE = "heads/losses"
OWN_FUNCTION = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # my_module:my_loss, see docs/new_loss.md
NEGATIVES = ("in_batch", "semihard", "hard", "random:19", "offline:5")  # random and offline: any count
# top-k is in lists of candidates, the others in the whole gallery.
Select = Literal["top1", "top2", "top5", "recall_at_1", "mrr", "map_at_r"]
Dimension = Annotated[int, Field(ge=1, le=65536)]


class Section(BaseModel):
    """Base of the sections: no unknown keys, no `inf`, no `true` where a number is meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[str(info.field_name)].annotation
        values = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, bool) for one in values) and kind is not bool and "bool" not in str(kind):
            raise ValueError(f"{str(value).lower()}: a number is meant")
        return value


class HeadModel(Section):
    """What is between features and embedding, or between a pair of features and its logit."""

    model: Model = "linear"
    hidden: tuple[Dimension, ...] = ()
    dim: Dimension | None = None  # width of the embedding; null: that of the input
    classifier: tuple[Dimension, ...] = ()  # pair_bc, pair_mlp: hidden widths of the classifier of the pair
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Objective(Section):
    """What is minimised and how: the same for a head and for a network (features/finetuning/settings.py)."""

    # Loss
    loss: str = Field("contrastive", json_schema_extra={"examples": list(LOSSES)})  # of LOSSES, or my_module:my_loss
    distance: Literal["cosine", "euclidean", "squared_euclidean"] = "cosine"
    margin: float | None = Field(None, gt=0)  # null: the loss's own, see MARGINS
    margin_on: Literal["distance", "squared"] = "distance"  # contrastive: max(margin - d, 0)^2, or max(margin - d^2, 0)
    temperature: float = Field(0.07, gt=0)  # supcon, cross_entropy, membership; infonce learns its own from here
    loss_args: dict[str, float | int | bool | str] = {}  # further arguments, see ARGUMENTS
    negatives: str = "in_batch"  # one of NEGATIVES
    relative_margin: float | None = Field(None, ge=0, lt=1)  # offline: no negative above (1 - this) x the positive
    max_score: float | None = None  # offline: no negative above this similarity

    # Training
    batch: int = Field(256, ge=4)  # images per step (with `random:19`: anchors and positives; negatives come on top)
    images_per_group: int = Field(2, ge=2)  # K of P groups x K images
    epochs: int = Field(30, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: int = Field(10, ge=1)  # epochs without a better val score before a seed stops
    select: Select = "top2"  # the val score that picks the epoch

    @property
    def of_library(self) -> bool:
        """Whether the loss is one of pytorch-metric-learning."""
        return self.loss in LIBRARY_LOSSES

    @property
    def of_user(self) -> bool:
        """Whether the loss is a function of the user's own, `my_module:my_loss`."""
        return ":" in self.loss

    @property
    def takes_negatives(self) -> bool:
        """Whether the loss is of similarities, so that negatives can be mined; else of embeddings and labels."""
        return not self.of_library and self.loss != "cross_entropy"

    @property
    def loss_margin(self) -> float:
        return self.margin or MARGINS.get(self.loss, 0.0)

    @property
    def arguments(self) -> dict[str, float | int | bool | str]:
        """The further arguments of a loss of ours."""
        return {**ARGUMENTS.get(self.loss, {}), **self.loss_args}

    @property
    def negatives_kind(self) -> str:
        return self.negatives.partition(":")[0]

    @property
    def negatives_count(self) -> int:
        """N of `random:N` and `offline:N`; 0 for the kinds that look inside the batch."""
        return int(re.sub(r"\D", "", self.negatives) or 0)

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, loss: str) -> str:
        if loss in OTHER_NAMES:
            raise ValueError(f"'{loss}' is '{OTHER_NAMES[loss]}' here: write that")
        if loss not in LOSSES and not re.fullmatch(OWN_FUNCTION, loss):
            raise ValueError(f"no '{loss}'; {nearest_or_known(loss, LOSSES, listed=get_args(OwnLoss))}")
        return loss

    @field_validator("negatives")
    @classmethod
    def _known_negatives(cls, negatives: str) -> str:
        if not re.fullmatch(r"in_batch|semihard|hard|(random|offline):[1-9]\d{0,3}", negatives):
            raise ValueError(f"no '{negatives}'; known: {', '.join(NEGATIVES)}")
        return negatives


class HeadSettings(HeadModel, Objective):
    features: str  # a feature set: an entry of features.backbones, concatenations or finetunes
    transform: Literal["none", "l2", "center", "whiten"] = "l2"  # fitted on train only
    components: Dimension | None = None  # whiten: so many principal directions, and an input so wide; null: all
    whitening: float = Field(1.0, ge=0, le=1)  # whiten: power of the deviation that each is divided by; 0: none
    cosine_weight: float = Field(0.0, ge=0, lt=1)  # share of plain cosine kept beside the learned similarity
    noise: float = Field(0.0, ge=0)  # length of Gaussian noise on each input, as a share of a unit vector
    seeds: int = Field(3, ge=1, le=64)  # this many heads, from seed, seed + 1, ...
    code: str = CODE  # the file or folder of a loss of your own, on which `train` then depends
    ensemble: bool = False  # score the mean of their similarities as one

    @model_validator(mode="after")
    def _fit_together(self) -> "HeadSettings":
        if found := problem(self):
            raise ValueError(found)
        return self


class ScoreSettings(Section):
    n_bootstrap: int = Field(1000, ge=100)  # resamples per interval
    gallery: int = Field(6, ge=1, le=50)  # queries shown as gained, and as lost
    queries: int | None = Field(None, ge=10)  # that are ranked in the gallery; null: all of the test split
    # Scores after re-ranking, beside the others.
    rerank: Literal["none", "csls", "one_to_one", "query_expansion", "k_reciprocal"] = "none"


def parse_head_settings(values: Mapping[str, Any]) -> HeadSettings:
    """
    Raises:
        HeadError: a setting that is unknown or cannot be, in one line.
    """
    try:
        return HeadSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, message = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
        raise HeadError(f"{where}: {message}" if where else message) from None

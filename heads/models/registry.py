"""The head that `head.model` names."""

from torch import Tensor

from heads.models.embedding_heads import (
    BesideHead,
    Head,
    LinearHead,
    MembershipHead,
    MlpHead,
    PseudoClassHead,
    ResidualHead,
    linear_start,
)
from heads.models.layers import Generators
from heads.models.pair_heads import DistanceLogitHead, PairHead
from heads.settings import HeadSettings


def build_head(
    settings: HeadSettings, width: int, draws: Generators, *, train: Tensor | None = None, groups: int = 0
) -> Head:
    """The head of `settings.model` for inputs of `width`, one seed for every generator, beside its input if so set.

    `groups` is how many training has, which only `membership` needs.
    `train` (N, D), the transformed training rows, sets where linear paths start; without it (a head about to be
    loaded) they start at zero.
    """
    learned = _learned(settings, width, draws, train, groups)
    return BesideHead(learned, settings.cosine_weight) if settings.cosine_weight else learned


def _learned(settings: HeadSettings, width: int, draws: Generators, train: Tensor | None, groups: int) -> Head:
    out = settings.dim or width
    match settings.model:
        case "identity":
            return Head(settings.distance)
        case "linear":
            return LinearHead(linear_start(width, out, train), settings.distance, draws)
        case "mlp":
            return MlpHead(linear_start(width, out, train), settings, draws)
        case "residual":
            return ResidualHead(width, settings, draws)
        case "pseudo_class":
            return PseudoClassHead(width, out, settings, draws)
        case "membership":
            return MembershipHead(width, groups, settings, draws)
        case "pair_bc" | "pair_mlp":
            return PairHead(width, settings, draws, last_relu=settings.model == "pair_bc")
        case "distance_logit":
            return DistanceLogitHead(width, settings, draws)
    raise ValueError(settings.model)

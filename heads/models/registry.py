"""The head that `head.model` names."""

from torch import Generator, Tensor

from heads.models.base import Head
from heads.models.cosine_mix import CosineMix, MembershipHead
from heads.models.embedding_heads import LinearHead, MLPHead, PseudoClassHead, ResidualHead, pca_init
from heads.models.pair_heads import DistanceLogitHead, PairHead
from heads.settings import HeadSettings


def build_head(
    settings: HeadSettings, width: int, rng: Generator, *, start: Tensor | None = None, groups: int = 0
) -> Head:
    """The head of `settings.model` for inputs of `width`, its random weights drawn from `rng`.

    Args:
        start: where the linear path of `linear` and `mlp` starts, see `projection_start`; None: at zero, for a head
            whose weights are loaded afterwards.
        groups: the number of training groups, which only `membership` needs.
    """
    learned = _learned(settings, width, rng, start, groups)
    return CosineMix(learned, settings.cosine_weight) if settings.cosine_weight else learned


def projection_start(settings: HeadSettings, train: Tensor) -> Tensor | None:
    """Where linear paths start, from the transformed training rows `train` (N, D): one for all seeds, since its
    eigenvectors take longer than an epoch. None for heads without such a path.
    """
    width = train.shape[1]
    return pca_init(width, settings.dim or width, train) if settings.model in ("linear", "mlp") else None


def _learned(settings: HeadSettings, width: int, rng: Generator, start: Tensor | None, groups: int) -> Head:
    out = settings.dim or width
    match settings.model:
        case "identity":
            return Head(settings.distance)
        case "linear":
            return LinearHead(pca_init(width, out, None) if start is None else start, settings, rng)
        case "mlp":
            return MLPHead(pca_init(width, out, None) if start is None else start, settings, rng)
        case "residual":
            return ResidualHead(width, settings, rng)
        case "pseudo_class":
            return PseudoClassHead(width, out, settings, rng)
        case "membership":
            return MembershipHead(width, groups, settings, rng)
        case "pair_bc" | "pair_mlp":
            return PairHead(width, settings, rng, last_relu=settings.model == "pair_bc")
        case "distance_logit":
            return DistanceLogitHead(width, settings, rng)
    raise ValueError(settings.model)

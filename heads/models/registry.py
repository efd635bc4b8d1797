"""The head that `head.model` names."""

from torch import Generator, Tensor

from heads.models import cosine_mix, embedding_heads, pair_heads
from heads.models.base import Head, HeadInputs
from heads.models.embedding_heads import pca_init
from heads.settings import HeadSettings

HEADS = embedding_heads.HEADS | cosine_mix.HEADS | pair_heads.HEADS


def build_head(
    settings: HeadSettings, width: int, rng: Generator, *, start: Tensor | None = None, groups: int = 0
) -> Head:
    """The head of `settings.model` for inputs of `width`, its random weights drawn from `rng`.

    Args:
        start: initial weights of the linear path of `linear` and `mlp`, see `projection_start`; None: zeros, for a head
            whose weights are loaded afterwards.
        groups: the number of training groups, which only `membership` needs.
    """
    given = HeadInputs(settings, width, settings.dim or width, start, groups, rng)
    learned = HEADS[settings.model](given)
    return cosine_mix.CosineMix(learned, settings.cosine_weight) if settings.cosine_weight else learned


def projection_start(settings: HeadSettings, train: Tensor) -> Tensor | None:
    """Initial weights of linear paths, from the transformed training rows `train` (N, D). They are shared by all seeds,
    because the eigenvectors take longer than an epoch. None for heads without such a path.
    """
    width = train.shape[1]
    return pca_init(width, settings.dim or width, train) if settings.model in ("linear", "mlp") else None

"""Words as queries: the text tower of the CLIP whose image tower made the features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from heads.errors import HeadError
from pipeline.inference.predictor import Predictor


def text_embeddings(head: Predictor, texts: Sequence[str]) -> Tensor:
    """(n, W) on the head's device, as `Predictor.similarity_of` compares them with those of images.

    Raises:
        HeadError: the features are not one CLIP's own, or the head does not keep the space that words and images share.
    """
    settings, source = head.trained.settings, head.feature_set.parts[0]
    entry = source.entry
    if (
        head.feature_set.fused
        or entry.library != "open_clip"
        or entry.output != "global"
        or "finetune" in source.provenance
    ):
        raise HeadError(
            f"--text: {head.feature_set.name} are not the features of a CLIP; train on one of library open_clip with "
            "output global (head.features=clip_vitb32 head.model=identity)"
        )
    if settings.model != "identity" and settings.cosine_weight == 0:
        raise HeadError(
            f"--text: a {settings.model} head leaves the space that words and images share; set head.model=identity, "
            "or a head.cosine_weight above 0"
        )
    from features.backbones.open_clip import load_text_tower

    tower = load_text_tower(entry, f"backbones.{source.name}")
    with torch.no_grad():
        return head.embeddings_of(tower(list(texts)).half().numpy())

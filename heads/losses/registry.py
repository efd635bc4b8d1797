"""What `head.loss` names: each loss as a module, from a batch to a scalar."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import normalize

from heads.losses.proxy_losses import cross_entropy, membership_cross_entropy
from heads.losses.similarity_losses import bce, contrastive, infonce, supcon, triplet
from heads.models.base import Head
from heads.settings import LIBRARY_LOSSES, HeadSettings
from heads.training.batches import Batch

MAX_SCALE = 100.0  # of the learned 1 / temperature (Radford et al. 2021, section 2.5)
CHUNK = 65_536  # rows encoded at once


LOSSES: dict[str, Callable[[Batch, HeadSettings, nn.ParameterDict], Tensor]] = {
    "contrastive": lambda batch, head, learned: contrastive(
        *_masks(batch),
        margin=head.loss_margin,
        distance=head.distance,
        margin_on=head.margin_on,
        every_negative=bool(head.arguments["every_negative"]),
    ),
    "triplet": lambda batch, head, learned: triplet(*_masks(batch), margin=head.loss_margin),
    "infonce": lambda batch, head, learned: infonce(*_masks(batch), scale=learned["log_scale"].exp()),
    "supcon": lambda batch, head, learned: supcon(
        batch.similarity, batch.same_group, batch.negatives, temperature=head.temperature
    ),
    "cross_entropy": lambda batch, head, learned: (
        cross_entropy(
            batch.head.pairwise(batch.embeddings, learned["proxies"]), batch.labels, temperature=head.temperature
        )
        if "proxies" in learned
        else membership_cross_entropy(batch.head.sqrt_membership(batch.embeddings), batch.labels)
    ),
    "bce": lambda batch, head, learned: bce(_logits(batch, head), batch.positives, batch.negatives),
}


class BatchLoss(nn.Module):
    """An entry of LOSSES with the parameters that it learns: Batch -> scalar."""

    def __init__(self, settings: HeadSettings, learned: dict[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.learned = nn.ParameterDict({name: nn.Parameter(start) for name, start in learned.items()})

    def forward(self, batch: Batch) -> Tensor:
        if "log_scale" in self.learned:
            with torch.no_grad():  # not in the graph: a clamp there would hold the scale at its limit for good
                self.learned["log_scale"].clamp_(max=math.log(MAX_SCALE))
        return LOSSES[self.settings.loss](batch, self.settings, self.learned)


def build_loss(settings: HeadSettings, head: Head, inputs: Tensor, labels: np.ndarray, *, rng: Generator) -> nn.Module:
    """The loss of `settings.loss`, Batch -> scalar, for an untrained head and the training rows `inputs` (n, D), whose
    groups `labels` (n,) run from 0 to C - 1.

    Proxies start at their group's mean embedding (weight imprinting, Qi et al. 2018): random ones would first pull a
    head away from the similarity that it starts with. A learned temperature starts at `head.temperature`. What
    pytorch-metric-learning draws at random comes from `rng`.

    Raises:
        HeadError: a loss of pytorch-metric-learning, or of the user, was given arguments that it does not take.
    """
    if settings.of_user:
        from heads.losses.user import UserLoss

        return UserLoss(settings)
    if settings.loss in LIBRARY_LOSSES:
        from heads.losses.library import LibraryLoss  # a second to import: only where it is used

        return LibraryLoss(settings, means=group_means(head, inputs, labels), rng=rng)
    learned = {}
    match settings.loss:
        case "infonce":  # learned in logarithms: steps are then ratios, and the scale stays positive
            learned["log_scale"] = torch.tensor(-math.log(settings.temperature))
        case "cross_entropy" if settings.model != "membership":  # that head has the classifier itself
            learned["proxies"] = group_means(head, inputs, labels)
    return BatchLoss(settings, learned)


@torch.no_grad()
def group_means(head: Head, inputs: Tensor, labels: np.ndarray) -> Tensor:
    """The mean embedding of each group (C, E), of length 1 where similarity is a cosine.

    inputs (n, D), labels (n,) from 0 to C - 1, in which every group occurs.
    """
    head.eval()
    group = torch.as_tensor(labels, device=inputs.device)
    embeddings = torch.cat([head(rows) for rows in inputs.split(CHUNK)])
    if head.distance == "cosine":
        embeddings = normalize(embeddings, dim=-1)
    total = embeddings.new_zeros(int(labels.max()) + 1, embeddings.shape[1]).index_add_(0, group, embeddings)
    if head.distance == "cosine":
        return normalize(total, dim=-1)
    return total / torch.bincount(group).unsqueeze(1)


def _masks(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.similarity, batch.positives, batch.negatives


def _logits(batch: Batch, head: HeadSettings) -> Tensor:
    """A classifier of pairs gives logits; the cosine of two softmax vectors is a probability."""
    return batch.similarity.logit(eps=1e-6) if head.model == "pseudo_class" else batch.similarity

"""What `head.loss` names: each loss, from one step's comparisons and from what the loss itself learns."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from heads.losses.batch_losses import multi_similarity, supcon
from heads.losses.proxy_losses import cross_entropy, membership_cross_entropy, proxy_anchor
from heads.losses.similarity_losses import angular, bce, contrastive, infonce, triplet
from heads.models.embedding_heads import Head
from heads.models.layers import Generators
from heads.settings import LIBRARY_LOSSES, HeadSettings
from heads.training.batches import Step
from heads.training.masks import Lists

MAX_SCALE = 100.0  # of the learned 1 / temperature (Radford et al. 2021, section 2.5)
CHUNK = 65_536  # rows encoded at once


Learned = nn.ParameterDict

LOSSES: dict[str, Callable[[Step, HeadSettings, Learned], Tensor]] = {
    "contrastive": lambda step, head, learned: contrastive(
        *step.lists,
        margin=head.loss_margin,
        distance=head.distance,
        margin_on=head.margin_on,
        every_negative=bool(head.arguments["every_negative"]),
    ),
    "triplet": lambda step, head, learned: triplet(*step.lists, margin=head.loss_margin),
    "infonce": lambda step, head, learned: infonce(*step.lists, scale=learned["log_scale"].exp()),
    "supcon": lambda step, head, learned: supcon(*step.whole, temperature=head.temperature),
    "angular": lambda step, head, learned: angular(*step.lists, between=step.between, **head.arguments),
    "multi_similarity": lambda step, head, learned: multi_similarity(*step.whole, **head.arguments),
    "cross_entropy": lambda step, head, learned: (
        cross_entropy(*step.to_proxies(learned["proxies"]), temperature=head.temperature)
        if "proxies" in learned
        else membership_cross_entropy(*step.roots)
    ),
    "proxy_anchor": lambda step, head, learned: proxy_anchor(
        *step.to_proxies(learned["proxies"]), margin=head.loss_margin, **head.arguments
    ),
    "bce": lambda step, head, learned: bce(*_logits(step, head)),
}


class LossOfSteps(nn.Module):
    """An entry of LOSSES with what it learns; every parameter has a leading seed axis. Step -> (S,)"""

    def __init__(self, settings: HeadSettings, learned: dict[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.learned = nn.ParameterDict({name: nn.Parameter(start) for name, start in learned.items()})

    def forward(self, step: Step) -> Tensor:
        if "log_scale" in self.learned:
            with torch.no_grad():  # not in the graph: a clamp there would hold the scale at its limit for good
                self.learned["log_scale"].clamp_(max=math.log(MAX_SCALE))
        return LOSSES[self.settings.loss](step, self.settings, self.learned)


def build_loss(
    settings: HeadSettings, head: Head, inputs: Tensor, codes: np.ndarray, *, draws: Generators
) -> nn.Module:
    """The loss of `settings.loss`, Step -> (S,), for an untrained head and the training rows `inputs` (n, D), whose
    groups `codes` (n,) run from 0 to C - 1.

    Proxies start at their group's mean embedding (weight imprinting, Qi et al. 2018): random ones would first pull a
    head away from the similarity that it starts with. A learned temperature starts at `head.temperature`. What
    pytorch-metric-learning draws at random comes from `draws`.

    Raises:
        HeadError: a loss of pytorch-metric-learning was given arguments that it does not take.
    """
    if settings.loss in LIBRARY_LOSSES:
        from heads.losses.library import LibraryLoss  # a second to import: only for those who ask for it

        return LibraryLoss(settings, groups=int(codes.max()) + 1, width=_width(head, inputs, len(draws)), draws=draws)
    learned = {}
    match settings.loss:
        case "infonce":  # learned in logarithms: steps are then ratios, and the scale stays positive
            learned["log_scale"] = torch.full((len(draws),), -math.log(settings.temperature))
        case "cross_entropy" if settings.model == "membership":
            pass  # the head has the classifier itself
        case "cross_entropy" | "proxy_anchor":
            learned["proxies"] = group_means(head, inputs, codes, seeds=len(draws))
    return LossOfSteps(settings, learned)


@torch.no_grad()
def group_means(head: Head, inputs: Tensor, codes: np.ndarray, *, seeds: int) -> Tensor:
    """The mean embedding of each group (S, C, E), of length 1 where alike is a cosine.

    inputs (n, D), codes (n,) from 0 to C - 1, in which every group occurs.
    """
    head.eval()
    group = torch.as_tensor(codes, device=inputs.device)
    total: Tensor | None = None
    for rows, own in zip(inputs.split(CHUNK), group.split(CHUNK), strict=True):
        encoded = head.encode(rows.expand(seeds, -1, -1))
        if head.distance == "cosine":
            encoded = normalize(encoded, dim=-1)
        if total is None:
            total = encoded.new_zeros(seeds, int(codes.max()) + 1, encoded.shape[2])
        total.index_add_(1, own, encoded)
    if head.distance == "cosine":
        return normalize(total, dim=-1)
    return total / torch.bincount(group).view(1, -1, 1)


@torch.no_grad()
def _width(head: Head, inputs: Tensor, seeds: int) -> int:
    """E, of the embeddings."""
    return head.eval().encode(inputs[:1].expand(seeds, -1, -1)).shape[2]


def _logits(step: Step, head: HeadSettings) -> Lists:
    """A classifier of pairs gives logits; the cosine of two softmax vectors is a probability (report 1, CL)."""
    positive, negative, valid = step.lists
    if head.model != "pseudo_class":
        return positive, negative, valid
    return positive.logit(eps=1e-6), negative.logit(eps=1e-6), valid

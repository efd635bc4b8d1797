"""The nearest rows of a gallery, exactly, in blocks: memory stays flat however large the gallery is."""

import torch
from torch import Tensor

from heads.embeddings import compare
from heads.errors import HeadError
from heads.store import TrainedHead

BLOCK = 2**24  # similarities in memory at once: 64 MB


@torch.no_grad()
def nearest(
    trained: TrainedHead, queries: Tensor, *, gallery: Tensor, k: int, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """Codes (Q, W) and (G, W) -> similarities (Q, k) and gallery rows (Q, k), best first.

    Raises:
        HeadError: k beyond the gallery, or a similarity that is not finite.
    """
    if not 1 <= k <= len(gallery):
        raise HeadError(f"the {k} nearest of a gallery of {len(gallery)}: ask for 1 to {len(gallery)}")
    best, rows = None, None
    size = max(1, block // max(1, len(queries)))
    for start in range(0, len(gallery), size):
        scores = compare(trained, queries, gallery[start : start + size])
        found, place = scores.topk(min(k, scores.shape[1]), dim=1)
        # Every similarity is looked at, at the price of a sum: NaN would be ranked first by topk.
        if not torch.isfinite(scores.sum()):
            raise HeadError(
                "a similarity is not finite (NaN or infinite): the head's output or the features are broken"
            )
        place += start
        if best is not None:
            found, place = torch.cat([best, found], 1), torch.cat([rows, place], 1)
            found, order = found.topk(min(k, found.shape[1]), dim=1)
            place = place.gather(1, order)
        best, rows = found, place
    return best, rows

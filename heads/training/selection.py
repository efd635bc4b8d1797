"""Choices on val, never on test: the epoch by a ranking score, the threshold by balanced accuracy, and the calibration
of probabilities.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heads.calibration import Calibration, calibrate
from heads.errors import HeadError
from heads.metrics.candidate_lists import hit_rate
from heads.metrics.ranking import Ranks, rank_queries
from heads.metrics.retrieval import retrieval
from heads.models.base import Head
from heads.settings import HeadSettings, Select
from heads.store import encode_rows, head_similarity, similarities
from heads.threshold import calibrate_threshold
from heads.training.loop import Validate

Ints = NDArray[np.int64]
CONSTANT = 1e-6  # similarities that differ by less differ by rounding


def epoch_score(
    inputs: Tensor, labels: Ints, settings: HeadSettings, *, queries: Ints, gallery: Ints, candidates: int
) -> Validate:
    """`settings.select` of val `queries` against the val `gallery`; top-k in lists of `candidates`.

    inputs (N, D) are transformed features, labels (N,) groups; queries and gallery are row numbers. A gallery that
    cannot fill such a list gives shorter ones.

    Raises:
        HeadError: a query has fewer than k images of other groups in the gallery.
    """
    chosen = np.union1d(queries, gallery)  # val rows alone are encoded
    place = np.full(len(labels), -1)
    place[chosen] = np.arange(len(chosen))
    rows = inputs[torch.from_numpy(chosen).to(inputs.device)]
    sizes = np.unique(labels[gallery], return_counts=True)[1]
    negatives = len(gallery) - int(sizes.max())  # of a query of the largest group
    k = int(settings.select.removeprefix("top")) if settings.select.startswith("top") else 1
    if negatives < k:
        smaller = " or choose a smaller head.select" if k > 1 else ""
        raise HeadError(
            f"val has {len(sizes)} groups, too few to choose an epoch by {settings.select}: "
            f"enlarge data.splits.val{smaller}"
        )

    def score(head: Head) -> float:
        similarity = head_similarity(head, encode_rows(head, rows))
        ranks = rank_queries(similarity, labels[chosen], queries=place[queries], gallery=place[gallery])
        return selected(ranks, settings.select, candidates=candidates)

    return score


def selected(ranks: Ranks, select: Select, *, candidates: int) -> float:
    """The score `select` over all queries; lists hold at most `candidates`, fewer where the gallery is small."""
    if select.startswith("top"):
        size = min(candidates, int(ranks.negatives.min()) + 1)
        return hit_rate(ranks, k=int(select.removeprefix("top")), candidates=size)
    whole = retrieval(ranks, ks=(1,))
    by_query = {"recall_at_1": whole.recall[1], "mrr": whole.reciprocal_rank, "map_at_r": whole.map_at_r}
    return float(by_query[select].mean())


def calibrate_on_val(
    heads: list[Head], inputs: Tensor, settings: HeadSettings, *, a: Ints, b: Ints, same: NDArray
) -> tuple[list[float], Calibration]:
    """On val pairs, rows a (P,), b (P,) and same (P,) bool: the threshold of each seed, by which each is scored (one
    for an ensemble), and threshold and probability of the seeds' mean, which is how the head is used.

    Raises:
        HeadError: the similarity is the same for all pairs.
    """
    chosen, places = np.unique(np.r_[a, b], return_inverse=True)
    left, right = (torch.from_numpy(part) for part in np.split(places, 2))
    rows = inputs[torch.from_numpy(chosen).to(inputs.device)]
    embeddings = torch.stack([encode_rows(head, rows) for head in heads])
    seeds = [similarity.pairs(left, right).cpu() for similarity in similarities(heads, embeddings)]
    mean = torch.stack(seeds).mean(0).numpy()
    scored = [mean] if settings.ensemble else [scores.numpy() for scores in seeds]
    if any(np.ptp(scores) < CONSTANT for scores in [*scored, mean]):
        raise HeadError(
            "all val pairs have the same similarity: the embedding is constant; lower head.lr, take easier "
            "negatives, or look at the features (`python -m pipeline verify`)"
        )
    return [calibrate_threshold(scores, same) for scores in scored], calibrate(mean, same)

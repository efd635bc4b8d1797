"""Counts of the similarities of all pairs of a large gallery, in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

BINS = 2**18  # of a histogram: AUC and accuracies differ from those of the pairs themselves by less than 1e-5
MARGIN = 0.1  # of the range of the first block, added on both sides; beyond it, similarities count as ties


@dataclass(frozen=True)
class ScoreCounts:
    """V similarities of pairs, or bins of them, in ascending order."""

    values: NDArray[np.floating]  # (V,)
    counts: NDArray[np.int64]  # (V,) pairs of each

    @staticmethod
    def of(scores: "ArrayLike | ScoreCounts") -> "ScoreCounts":
        """Similarities (P,) of P pairs."""
        if isinstance(scores, ScoreCounts):
            return scores
        values = np.sort(np.asarray(scores))
        return ScoreCounts(values, np.ones(len(values), np.int64))

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def at_least(self, thresholds: ArrayLike) -> NDArray[np.int64]:
        """Numbers of pairs with at least each of these similarities."""
        below = np.append(0, np.cumsum(self.counts))[np.searchsorted(self.values, thresholds)]
        return self.total - below


def pool_counts(several: Sequence[ScoreCounts]) -> ScoreCounts:
    values, counts = (
        np.concatenate(parts) for parts in zip(*((one.values, one.counts) for one in several), strict=True)
    )
    order = np.argsort(values, kind="stable")
    return ScoreCounts(values[order], counts[order])


class PairHistogram:
    """Counts positives and negatives block by block, in bins of equal width over the range of the first block."""

    def __init__(self) -> None:
        self._range: tuple[float, float] | None = None
        self._positives, self._negatives = (np.zeros(BINS, np.int64) for _ in range(2))

    def add(self, scores: NDArray[np.float32], positives: NDArray[np.float32], left_out: NDArray[np.float32]) -> None:
        """`scores` (B, G) of all pairs of a block, those of the positives, and those that are ignored."""
        everything, of_positives, of_left_out = (self._histogram(part) for part in (scores, positives, left_out))
        self._positives += of_positives
        self._negatives += everything - of_positives - of_left_out  # the negatives are most: selecting them is slow

    def result(self) -> tuple[ScoreCounts, ScoreCounts]:
        """Positives and negatives."""
        low, high = self._range or (0.0, 1.0)
        middles = low + (np.arange(BINS) + 0.5) * ((high - low) / BINS)
        positives, negatives = (
            ScoreCounts(middles[counts > 0], counts[counts > 0]) for counts in (self._positives, self._negatives)
        )
        return positives, negatives

    def _histogram(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        if self._range is None:
            low, high = float(scores.min()), float(scores.max())
            margin = MARGIN * (high - low) or 0.5
            self._range = (low - margin, high + margin)
        low, high = self._range
        # The counts of one block are below 2**24, so they are exact in float32.
        return torch.histc(torch.from_numpy(scores).clamp(low, high), BINS, low, high).numpy().astype(np.int64)

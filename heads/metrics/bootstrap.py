"""The bootstrap's draws: made once for so many clusters, and shared by every score of the same queries."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**22  # numbers of the draws that are held as floats together: 32 MB


def resampled(per_cluster: NDArray[np.floating], *, draws: int, seed: int = 0) -> NDArray[np.floating]:
    """(G, K) or (G,) sums of each cluster -> (draws, K) or (draws,) sums over G clusters drawn with replacement."""
    times = _times(len(per_cluster), draws, seed)
    step = max(1, AT_ONCE // len(per_cluster))
    parts = [times[i : i + step].astype(per_cluster.dtype) @ per_cluster for i in range(0, draws, step)]
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _times(clusters: int, draws: int, seed: int) -> NDArray[np.uint8]:
    """(draws, clusters) how often each draw takes each cluster; a byte is enough, 256 times would be a wonder."""
    rng = np.random.default_rng(seed)
    times = np.empty((draws, clusters), np.uint8)
    for draw in times:
        draw[:] = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
    times.flags.writeable = False
    return times

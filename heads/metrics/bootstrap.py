"""Bootstrap over clusters. The samples are drawn once per number of clusters and shared by all scores of a run."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_NUMBERS = 2**22  # of the multiplicities that are held as floats together: 32 MB


def resample_sums(per_cluster: NDArray[np.floating], *, n_bootstrap: int, seed: int = 0) -> NDArray[np.floating]:
    """Sums of each cluster, (G, K) or (G,), to sums over G clusters drawn with replacement, (B, K) or (B,)."""
    multiplicities = _multiplicities(len(per_cluster), n_bootstrap, seed)
    step = max(1, MAX_NUMBERS // len(per_cluster))
    parts = [multiplicities[i : i + step].astype(per_cluster.dtype) @ per_cluster for i in range(0, n_bootstrap, step)]
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _multiplicities(clusters: int, n_bootstrap: int, seed: int) -> NDArray[np.uint8]:
    """(B, G) how often each bootstrap sample contains each cluster. 255 is never reached in practice."""
    rng = np.random.default_rng(seed)
    multiplicities = np.empty((n_bootstrap, clusters), np.uint8)
    for row in multiplicities:
        row[:] = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
    multiplicities.flags.writeable = False
    return multiplicities

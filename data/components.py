"""What hangs together: connected components of a graph."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def components(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The component of each of `count` nodes, numbered in order of first appearance."""
    if not count:
        return []
    rows, columns = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(count, count))
    found = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].tolist()


def components_by_label(labels: Sequence[Sequence[str]]) -> list[int]:
    """The component of each thing, where things that share one of their labels are connected."""
    first: dict[str, int] = {}
    return components(
        len(labels), [(first.setdefault(label, thing), thing) for thing, own in enumerate(labels) for label in own]
    )

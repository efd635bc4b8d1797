"""Which rows of the test split are scored together, and the frozen lists that belong to them."""

import numpy as np
from numpy.typing import NDArray

from data.tables.protocol import CandidateLists, Protocol, check_rows
from data.tables.rows import Rows
from heads.metrics.evaluation import Subset
from pipeline.shared.splits import queries_and_gallery


def test_subsets(rows: Rows, protocol: Protocol, *, most: int | None = None, seed: int = 0) -> dict[str, Subset]:
    """`test` where groups are pairs; else `seen` and `unseen`, those that there are.

    At most `most` queries are scored, drawn from `seed` and distributed over the subsets by their sizes. Frozen lists
    and galleries stay whole, so that a score means the same.

    Raises:
        DataError: the test split is empty, or the protocol was frozen for other rows.
    """
    check_rows(protocol, rows.hash)
    queries, gallery = queries_and_gallery(rows, "test")
    if rows.has_roles:
        sides = {"test": (queries, gallery)}
    else:
        masks = {"seen": rows.seen, "unseen": ~rows.seen}
        sides = {name: (queries[mask[queries]], gallery[mask[gallery]]) for name, mask in masks.items()}
    share = min(1.0, most / len(queries)) if most else 1.0
    keys = {name: name if rows.has_roles else f"test_{name}" for name in sides}
    return {
        name: _subset(*of, protocol, keys[name], share=share, seed=seed)
        for name, of in sides.items()
        if keys[name] in protocol.pairs  # without, no query has both a match and a non-match
    }


def clusters(rows: Rows, families: NDArray[np.object_]) -> NDArray[np.object_]:
    """(N,) names of what intervals draw anew: images of a family that training never saw stand or fall together.

    A seen group stays the same when new images of it are drawn; of unseen groups, others could have been drawn, and
    groups that are variants of one idea (`families`) would have come together.
    """
    return np.where(rows.seen, rows.id, families)


def _subset(
    queries: NDArray[np.int64], gallery: NDArray[np.int64], protocol: Protocol, name: str, *, share: float, seed: int
) -> Subset:
    drawn = np.random.default_rng(seed).permutation(queries)[: max(1, round(share * len(queries)))]
    pairs, triplets, episodes = protocol.pairs.get(name), protocol.triplets.get(name), protocol.episodes.get(name)
    return Subset(
        queries=np.sort(drawn),
        gallery=gallery,
        lists=_lists_of(protocol.candidates, queries),
        pairs=pairs and (pairs.a, pairs.b, pairs.same),
        triplets=triplets and (triplets.anchor, triplets.positive, triplets.negative),
        episodes=episodes and (episodes.support, episodes.query),
    )


def _lists_of(
    lists: CandidateLists | None, queries: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    if lists is None:
        return None
    chosen = np.isin(lists.query, queries)
    return lists.query[chosen], lists.candidates[chosen], lists.truth[chosen]

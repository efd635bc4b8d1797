"""Frozen evaluation lists, drawn once at preparation: candidates, balanced pairs, triplets, episodes."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.tables.protocol import CandidateLists, EpisodeList, PairList, TripletList
from data.tables.rows import Rows

Ints = NDArray[np.int64]
Partner = Callable[[Ints, np.random.Generator], Ints]


class PartnerSampler:
    """Draws partners for the rows of one part of the data in constant time per row.

    With roles, anchors are left rows and partners right rows; without, both are any rows.
    """

    def __init__(self, rows: Rows, part: Ints) -> None:
        self.labels = rows.labels
        self.first, partners = rows.queries_and_gallery(part)
        self.has_roles = self.first is not partners
        self.partners = partners[np.argsort(self.labels[partners], kind="stable")]  # by group
        self._sorted = self.labels[self.partners]
        self._position = np.full(len(rows), -1, dtype=np.int64)  # of each row among the partners
        self._position[self.partners] = np.arange(len(self.partners))
        start, stop = self.span(self.first)
        self.anchors = self.first[stop - start > (0 if self.has_roles else 1)]  # a row is no partner of its own

    def span(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where, in `partners`, the groups of `rows` begin and end."""
        labels = self.labels[rows]
        return np.searchsorted(self._sorted, labels, "left"), np.searchsorted(self._sorted, labels, "right")

    def positives(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """One random partner of the same group for each of `rows`, never the row itself."""
        start, stop = self.span(rows)
        if self.has_roles:
            return self.partners[rng.integers(start, stop)]
        drawn = rng.integers(start, stop - 1)
        return self.partners[drawn + (drawn >= self._position[rows])]  # step over the row itself

    def negatives(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """One random partner of another group for each of `rows`."""
        start, stop = self.span(rows)
        drawn = rng.integers(0, len(self.partners) - (stop - start))
        return self.partners[drawn + np.where(drawn >= start, stop - start, 0)]

    @property
    def min_negatives(self) -> int:
        """The smallest number of partners of other groups that an anchor has."""
        start, stop = self.span(self.anchors)
        return len(self.partners) - int((stop - start).max())

    @property
    def has_negatives(self) -> bool:
        """Whether every row has a partner of another group."""
        return len(self.anchors) > 0 and self._sorted[0] != self._sorted[-1]


USUAL_SIZE = 20


def draw_candidates(rows: Rows, parts: list[Ints], *, size: int | None, rng: np.random.Generator) -> CandidateLists:
    """For every row that has a match in its part: the match and `size - 1` distractors of the same part.

    A part of one group has no distractors, and its rows are no queries. Without `size`, lists are of 20, or as long as
    the part with the fewest distractors allows.

    Raises:
        DataError: no part has two groups, a part has too few rows of other groups, or (with roles) a query's match is
            not there exactly once.
    """
    query, candidates, truth = [], [], []
    samplers = [PartnerSampler(rows, part) for part in parts]
    if rows.has_roles:
        for sampler in samplers:
            _check_one_match(rows, sampler)
    samplers = [sampler for sampler in samplers if sampler.has_negatives]
    if not samplers:
        raise DataError(
            "data.splits: no test image has both a match and images of other groups beside it; raise data.splits.test, "
            "or add groups or images"
        )
    largest = 1 + min(sampler.min_negatives for sampler in samplers)
    size = min(USUAL_SIZE, largest) if size is None else size
    if size > largest:
        raise DataError(
            f"data.candidates: {size} wanted, but a query of the test split has only {largest - 1} images of other "
            f"groups; set it to at most {largest}"
        )
    for sampler in samplers:
        start, stop = sampler.span(sampler.anchors)
        others = len(sampler.partners) - (stop - start)
        match = sampler.positives(sampler.anchors, rng)
        for row, true, begin, width, count in zip(sampler.anchors, match, start, stop - start, others, strict=True):
            drawn = rng.choice(count, size - 1, replace=False)
            distractors = sampler.partners[drawn + np.where(drawn >= begin, width, 0)]
            place = rng.integers(size)
            query.append(row)
            candidates.append(np.insert(distractors, place, true))
            truth.append(place)
    lists = CandidateLists(
        query=np.array(query, dtype=np.int64),
        candidates=np.array(candidates, dtype=np.int64).reshape(len(query), size),
        truth=np.array(truth, dtype=np.int64),
    )
    check_candidates(lists, rows)
    return lists


def check_candidates(lists: CandidateLists, rows: Rows) -> None:
    """
    Raises:
        DataError: a list holds a row twice, holds the query, has its truth not exactly once, or names a missing row.
    """
    everything = np.column_stack([lists.query, lists.candidates])
    if everything.min() < 0 or everything.max() >= len(rows):
        raise DataError(f"candidate lists: row {everything.max()} named, there are {len(rows)} rows")
    ordered = np.sort(everything, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        raise DataError(f"candidate lists: an image is listed twice for {_first_ids(rows, lists.query[twice])}")
    match = rows.labels[lists.candidates] == rows.labels[lists.query][:, None]  # (Q, C)
    column = np.arange(match.shape[1]) == lists.truth[:, None]
    wrong = (match != column).any(axis=1)
    if wrong.any():
        raise DataError(
            f"candidate lists: the true match is not listed exactly once for {_first_ids(rows, lists.query[wrong])}"
        )


def draw_pairs(rows: Rows, part: Ints, *, count: int, rng: np.random.Generator) -> PairList | None:
    """About `count` pairs, no pair twice, as many of the same group as of different ones; None if there are none.

    First members are uniform over rows that have a partner, partners uniform over what is left to them.
    """
    sampler = PartnerSampler(rows, part)
    if not sampler.has_negatives:
        return None
    positive = _distinct(sampler, sampler.positives, count // 2, rng)
    negative = _distinct(sampler, sampler.negatives, count // 2, rng)
    keep = min(len(positive), len(negative))
    both = np.concatenate([positive[:keep], negative[:keep]])
    return PairList(a=both[:, 0], b=both[:, 1], same=np.arange(2 * keep) < keep)


def choose_pairs(pairs: PairList, part: Ints, *, count: int, rng: np.random.Generator) -> PairList | None:
    """About `count` of the data set's own pairs within a part, half of them matching; None without both kinds."""
    inside = np.isin(pairs.a, part) & np.isin(pairs.b, part)
    kinds = [np.flatnonzero(inside & (pairs.same == same)) for same in (True, False)]
    keep = min(count // 2, *map(len, kinds))
    if not keep:
        return None
    chosen = np.concatenate([np.sort(rng.choice(kind, keep, replace=False)) for kind in kinds])
    return PairList(a=pairs.a[chosen], b=pairs.b[chosen], same=pairs.same[chosen])


def draw_triplets(rows: Rows, part: Ints, *, count: int, rng: np.random.Generator) -> TripletList | None:
    """`count` triplets with anchors uniform over rows that have a positive; None where there is none."""
    sampler = PartnerSampler(rows, part)
    if not sampler.has_negatives:
        return None
    anchor = rng.choice(sampler.anchors, count)
    return TripletList(anchor=anchor, positive=sampler.positives(anchor, rng), negative=sampler.negatives(anchor, rng))


def episode_groups(rows: Rows, part: Ints, *, images: int) -> Ints:
    """Labels (G,) of the groups of `part` that have at least `images` rows; none where groups are pairs."""
    labels, sizes = np.unique(rows.labels[part], return_counts=True)
    return labels[(sizes >= images) & (not rows.has_roles)]


def draw_episodes(
    rows: Rows, part: Ints, *, count: int, way: int | None, shot: int, queries: int, rng: np.random.Generator
) -> EpisodeList | None:
    """`count` K-way N-shot episodes; without `way`, as many groups as there are, 20 at most. None if fewer than `way`,
    or than 2, have `shot + queries` rows.
    """
    fit = episode_groups(rows, part, images=shot + queries)
    way = min(len(fit), 20) if way is None else way
    if len(fit) < max(way, 2):
        return None
    members = {label: part[rows.labels[part] == label] for label in fit}
    drawn = np.empty((count, way, shot + queries), dtype=np.int64)
    for episode in drawn:
        for place, label in enumerate(rng.choice(fit, way, replace=False)):
            episode[place] = rng.choice(members[label], shot + queries, replace=False)
    return EpisodeList(support=drawn[:, :, :shot].copy(), query=drawn[:, :, shot:].copy())


def check_way(rows: Rows, parts: Mapping[str, Ints], *, way: int, images: int) -> list[str]:
    """A note on the parts with fewer than `way` groups of `images` rows, which have no episodes.

    Raises:
        DataError: no part has so many, or groups are pairs.
    """
    if rows.has_roles:
        raise DataError(
            "data.episodes.way: groups of pairs have one image per side, too few for episodes; leave it empty"
        )
    fit = {name: len(episode_groups(rows, part, images=images)) for name, part in parts.items()}
    most = max((groups for name, groups in fit.items() if name != "val"), default=0)
    if way > most:
        raise DataError(
            f"data.episodes.way: {way} wanted, but no part of the test has more than {most} groups with the "
            f"{images} images that data.episodes.shot and .queries need; lower one of them, or leave way empty"
        )
    short = [f"{name} ({groups} groups)" for name, groups in fit.items() if groups < way]
    return [f"no {way}-way episodes of {', '.join(short)}: too few groups"] if short else []


def _distinct(sampler: PartnerSampler, partner: Partner, count: int, rng: np.random.Generator) -> Ints:
    """Up to `count` different pairs (P, 2): at most eight rounds of drawing, which find nearly all that there are."""
    found = np.empty((0, 2), dtype=np.int64)
    for _ in range(8):
        every = sampler.has_roles and len(sampler.anchors) <= count  # every query once before any twice
        first = sampler.anchors if every else rng.choice(sampler.anchors, 2 * count)
        found = np.concatenate([found, np.column_stack([first, partner(first, rng)])])
        key = found if sampler.has_roles else np.sort(found, axis=1)
        keep = np.sort(np.unique(key, axis=0, return_index=True)[1])
        found = found[keep]
        if len(found) >= count:
            break
    return found[:count]


def _check_one_match(rows: Rows, sampler: PartnerSampler) -> None:
    start, stop = sampler.span(sampler.first)
    wrong = stop - start != 1
    if wrong.any():
        raise DataError(f"candidate lists: not exactly one right image for {_first_ids(rows, sampler.first[wrong])}")


def _first_ids(rows: Rows, which: Ints) -> str:
    named = ", ".join(str(rows.id[row]) for row in which[:5])
    return f"{named} and {len(which) - 5} more" if len(which) > 5 else named

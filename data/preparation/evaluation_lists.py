"""Frozen evaluation lists, drawn once at preparation: candidates, balanced pairs, triplets, episodes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.tables.protocol import CandidateLists, EpisodeList, PairList, TripletList
from data.tables.rows import Rows

Ints = NDArray[np.int64]
Partner = Callable[[Ints, np.random.Generator], Ints]


class Board:
    """The rows of one part of the data, laid out by group, for drawing partners in constant time.

    With roles, first members are left rows and partners right rows; without, both are any rows.
    """

    def __init__(self, rows: Rows, part: Ints) -> None:
        self.codes = rows.codes
        first, partners = part, part
        if rows.has_roles:
            first, partners = part[rows.role[part] == "left"], part[rows.role[part] == "right"]
        order = np.argsort(self.codes[partners], kind="stable")
        self.partners = partners[order]
        self._sorted = self.codes[self.partners]
        self._place = np.full(len(rows), -1, dtype=np.int64)  # where each row stands among the partners
        self._place[self.partners] = np.arange(len(self.partners))
        self.roles = rows.has_roles
        start, stop = self.span(first)
        enough = stop - start > (0 if self.roles else 1)  # a row is no partner of its own
        self.anchors = first[enough]
        self.first = first

    def span(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where, in `partners`, the groups of `rows` begin and end."""
        codes = self.codes[rows]
        return np.searchsorted(self._sorted, codes, "left"), np.searchsorted(self._sorted, codes, "right")

    def same(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """One random partner of the same group for each of `rows`, never the row itself."""
        start, stop = self.span(rows)
        if self.roles:
            return self.partners[rng.integers(start, stop)]
        drawn = rng.integers(start, stop - 1)
        return self.partners[drawn + (drawn >= self._place[rows])]  # step over the row itself

    def other(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """One random partner of another group for each of `rows`."""
        start, stop = self.span(rows)
        drawn = rng.integers(0, len(self.partners) - (stop - start))
        return self.partners[drawn + np.where(drawn >= start, stop - start, 0)]

    @property
    def fewest_others(self) -> int:
        """The partners of other groups that every anchor finds, at least."""
        start, stop = self.span(self.anchors)
        return len(self.partners) - int((stop - start).max())

    @property
    def has_others(self) -> bool:
        """Whether every row finds a partner of another group."""
        return len(self.anchors) > 0 and self._sorted[0] != self._sorted[-1]


USUAL_SIZE = 20


def draw_candidates(rows: Rows, parts: list[Ints], *, size: int | None, rng: np.random.Generator) -> CandidateLists:
    """For every row that has a match in its part: the match and `size - 1` rows of other groups of the same part.

    A part of one group has no foils and asks nothing. Without `size`, lists are of 20, or as long as every query's
    part allows.

    Raises:
        DataError: no part has two groups, a part has too few rows of other groups, or (with roles) a query's match is
            not there exactly once.
    """
    query, candidates, truth = [], [], []
    boards = [Board(rows, part) for part in parts]
    for board in boards:
        if board.roles:
            _check_one_match(rows, board)
    boards = [board for board in boards if board.has_others]
    if not boards:
        raise DataError("data.candidates: no test image has both a match and images of other groups beside it")
    most = 1 + min(board.fewest_others for board in boards)
    size = min(USUAL_SIZE, most) if size is None else size
    if size > most:
        raise DataError(
            f"data.candidates: {size} asked for, but a query of the test split finds only {most - 1} images of "
            f"other groups; at most {most} are possible here"
        )
    for board in boards:
        start, stop = board.span(board.anchors)
        others = len(board.partners) - (stop - start)
        match = board.same(board.anchors, rng)
        for row, true, begin, width, count in zip(board.anchors, match, start, stop - start, others, strict=True):
            foils = rng.choice(count, size - 1, replace=False)
            listed = board.partners[foils + np.where(foils >= begin, width, 0)]
            place = rng.integers(size)
            query.append(row)
            candidates.append(np.insert(listed, place, true))
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
    match = rows.codes[lists.candidates] == rows.codes[lists.query][:, None]  # (Q, C)
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
    board = Board(rows, part)
    if not board.has_others:
        return None
    same = _distinct(board, board.same, count // 2, rng)
    other = _distinct(board, board.other, count // 2, rng)
    keep = min(len(same), len(other))
    both = np.concatenate([same[:keep], other[:keep]])
    return PairList(a=both[:, 0], b=both[:, 1], same=np.arange(2 * keep) < keep)


def draw_triplets(rows: Rows, part: Ints, *, count: int, rng: np.random.Generator) -> TripletList | None:
    """`count` triplets with anchors uniform over rows that have a positive; None where there is none."""
    board = Board(rows, part)
    if not board.has_others:
        return None
    anchor = rng.choice(board.anchors, count)
    return TripletList(anchor=anchor, positive=board.same(anchor, rng), negative=board.other(anchor, rng))


def draw_episodes(
    rows: Rows, part: Ints, *, count: int, way: int | None, shot: int, queries: int, rng: np.random.Generator
) -> EpisodeList | None:
    """`count` K-way N-shot episodes; without `way`, as many groups as there are, 20 at most. None if fewer than 2 fit.

    Raises:
        DataError: `way` is more than the groups that have `shot + queries` rows.
    """
    codes, sizes = np.unique(rows.codes[part], return_counts=True)
    fit = codes[sizes >= shot + queries]
    if rows.has_roles or len(fit) < 2:
        return None
    if way is not None and way > len(fit):
        raise DataError(f"data.episodes.way: {way} asked for, only {len(fit)} groups have {shot + queries} images here")
    way = min(len(fit), 20) if way is None else way
    members = {code: part[rows.codes[part] == code] for code in fit}
    drawn = np.empty((count, way, shot + queries), dtype=np.int64)
    for episode in drawn:
        for place, code in enumerate(rng.choice(fit, way, replace=False)):
            episode[place] = rng.choice(members[code], shot + queries, replace=False)
    return EpisodeList(support=drawn[:, :, :shot].copy(), query=drawn[:, :, shot:].copy())


def _distinct(board: Board, partner: Partner, count: int, rng: np.random.Generator) -> Ints:
    """Up to `count` different pairs (P, 2). Rounds of drawing end when nearly all there are have been found."""
    found = np.empty((0, 2), dtype=np.int64)
    for _ in range(8):
        every = board.roles and len(board.anchors) <= count  # every query once before any twice
        first = board.anchors if every else rng.choice(board.anchors, 2 * count)
        found = np.concatenate([found, np.column_stack([first, partner(first, rng)])])
        key = found if board.roles else np.sort(found, axis=1)
        keep = np.sort(np.unique(key, axis=0, return_index=True)[1])
        found = found[keep]
        if len(found) >= count:
            break
    return found[:count]


def _check_one_match(rows: Rows, board: Board) -> None:
    start, stop = board.span(board.first)
    wrong = stop - start != 1
    if wrong.any():
        raise DataError(f"candidate lists: not exactly one right image for {_first_ids(rows, board.first[wrong])}")


def _first_ids(rows: Rows, which: Ints) -> str:
    named = ", ".join(str(rows.id[row]) for row in which[:5])
    return f"{named} and {len(which) - 5} more" if len(which) > 5 else named

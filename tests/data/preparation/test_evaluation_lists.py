import numpy as np
import pytest

from data.errors import DataError
from data.preparation.evaluation_lists import (
    check_candidates,
    check_way,
    draw_candidates,
    draw_episodes,
    draw_pairs,
    draw_triplets,
)
from data.preparation.rng import generator
from data.tables.protocol import CandidateLists
from data.tables.rows import Rows


def classes(sizes: list[int]) -> Rows:
    """Groups of the given sizes, shuffled over the rows."""
    group = np.repeat([f"g{index:02d}" for index in range(len(sizes))], sizes).astype(object)
    group = group[np.random.default_rng(5).permutation(len(group))]
    return _rows(group, np.full(len(group), "", dtype=object))


def pairs_of_two(count: int) -> Rows:
    group = np.array([f"g{index:03d}" for index in range(count)] * 2, dtype=object)
    return _rows(group, np.repeat(["left", "right"], count).astype(object))


def _rows(group, role) -> Rows:
    count = len(group)
    return Rows(
        id=np.array([f"id{row}" for row in range(count)], dtype=object),
        group=group,
        role=role,
        split=np.full(count, "test", dtype=object),
        seen=np.zeros(count, dtype=bool),
        sha256=np.array([f"{row:064x}" for row in range(count)], dtype=object),
    )


def everything(rows: Rows):
    return np.arange(len(rows))


def rng(name: str = "test") -> np.random.Generator:
    return generator(0, name)


def test_each_purpose_has_its_own_chance():
    assert generator(0, "pairs val").integers(1 << 60) == generator(0, "pairs val").integers(1 << 60)
    drawn = {generator(seed, name).integers(1 << 60) for seed in (0, 1) for name in ("pairs val", "pairs test")}
    assert len(drawn) == 4


@pytest.mark.parametrize("rows", [classes([3, 1, 7, 2, 9, 4]), pairs_of_two(30)], ids=["classes", "pairs"])
def test_candidates_hold_the_truth_once_and_no_row_twice(rows):
    lists = draw_candidates(rows, [everything(rows)], size=8, rng=rng())
    assert lists.candidates.shape == (len(lists.query), 8)
    for query, listed, truth in zip(lists.query, lists.candidates, lists.truth, strict=True):
        assert len({query, *listed}) == 9
        assert [rows.group[row] == rows.group[query] for row in listed] == [c == truth for c in range(8)]
        if rows.has_roles:
            assert rows.role[query] == "left"
            assert set(rows.role[listed]) == {"right"}
    # Every row with a match asks, and asks once.
    asks = [r for r in range(len(rows)) if rows.role[r] != "right" and (rows.group == rows.group[r]).sum() > 1]
    assert sorted(lists.query) == asks


def test_candidates_stay_in_their_part():
    rows = classes([6] * 8)
    half = np.flatnonzero(rows.labels < 4), np.flatnonzero(rows.labels >= 4)
    lists = draw_candidates(rows, list(half), size=5, rng=rng())
    assert ((rows.labels[lists.candidates] < 4) == (rows.labels[lists.query] < 4)[:, None]).all()


def test_places_and_distractors_are_uniform():
    rows = pairs_of_two(50)
    lists = draw_candidates(rows, [everything(rows)], size=10, rng=rng())
    many = [draw_candidates(rows, [everything(rows)], size=10, rng=rng(str(trial))) for trial in range(40)]
    places = np.bincount(np.concatenate([one.truth for one in many]), minlength=10)  # 200 expected in each
    assert places.min() > 140
    assert places.max() < 260
    distractors = np.concatenate([one.candidates.ravel() for one in many])
    counts = np.bincount(distractors, minlength=100)[50:]  # 400 expected for each right row
    assert counts.min() > 310
    assert counts.max() < 490
    assert (lists.candidates != many[0].candidates).any()


def test_more_candidates_than_images_is_said():
    rows = pairs_of_two(10)
    assert draw_candidates(rows, [everything(rows)], size=10, rng=rng()).candidates.shape == (10, 10)
    with pytest.raises(DataError, match=r"data\.candidates: 11 wanted, .* only 9 images .* at most 10"):
        draw_candidates(rows, [everything(rows)], size=11, rng=rng())


def test_without_a_size_lists_are_of_twenty_or_as_long_as_can_be():
    for count, size in ((30, 20), (20, 20), (8, 8)):
        rows = pairs_of_two(count)
        assert draw_candidates(rows, [everything(rows)], size=None, rng=rng()).candidates.shape == (count, size)
    rows = classes([6] * 9)
    half = [np.flatnonzero(rows.labels < 6), np.flatnonzero(rows.labels >= 6)]
    assert draw_candidates(rows, half, size=None, rng=rng()).candidates.shape == (54, 13)


def test_a_part_of_one_group_asks_nothing_and_nothing_at_all_is_said():
    rows = classes([5, 5, 4])
    single, rest = np.flatnonzero(rows.labels == 2), np.flatnonzero(rows.labels < 2)
    assert set(draw_candidates(rows, [rest, single], size=3, rng=rng()).query) == set(rest)
    with pytest.raises(DataError, match="no test image has both a match and images of other groups beside it"):
        draw_candidates(rows, [single], size=3, rng=rng())


def test_two_right_images_for_one_left_are_said():
    rows = pairs_of_two(10)
    group = rows.group.copy()
    group[15] = group[14]
    broken = _rows(group, rows.role)
    with pytest.raises(DataError, match="not exactly one right image for id4, id5"):
        draw_candidates(broken, [everything(broken)], size=3, rng=rng())


@pytest.mark.parametrize(
    ("candidates", "truth", "said"),
    [
        ([[4, 5, 6]], [1], "the true match is not listed exactly once for id0"),  # truth points at a distractor
        ([[5, 6, 7]], [0], "the true match is not listed exactly once for id0"),  # no truth
        ([[4, 8, 6]], [0], "the true match is not listed exactly once for id0"),  # two of them
        ([[4, 5, 5]], [0], "an image is listed twice for id0"),
        ([[4, 5, 99]], [0], "row 99 named, there are 9 rows"),
    ],
)
def test_wrong_lists_are_said(candidates, truth, said):
    group = np.array(["a", "b", "c", "d", "a", "b", "c", "d", "a"], dtype=object)
    rows = _rows(group, np.full(9, "", dtype=object))
    lists = CandidateLists(query=np.array([0]), candidates=np.array(candidates), truth=np.array(truth))
    with pytest.raises(DataError, match=said):
        check_candidates(lists, rows)


@pytest.mark.parametrize("rows", [classes([3, 1, 7, 2, 9, 40]), pairs_of_two(30)], ids=["classes", "pairs"])
def test_pairs_are_balanced_and_different(rows):
    drawn = draw_pairs(rows, everything(rows), count=40, rng=rng())
    assert drawn.same.sum() * 2 == len(drawn.same) == 40
    np.testing.assert_array_equal(rows.group[drawn.a] == rows.group[drawn.b], drawn.same)
    assert (drawn.a != drawn.b).all()
    if rows.has_roles:
        assert set(rows.role[drawn.a]) == {"left"}
        assert set(rows.role[drawn.b]) == {"right"}
    assert len({frozenset(pair) for pair in zip(drawn.a, drawn.b, strict=True)}) == 40


def test_few_pairs_are_all_found_and_balance_holds():
    rows = classes([2, 2])  # two pairs of the same group, four of different ones
    drawn = draw_pairs(rows, everything(rows), count=1000, rng=rng())
    assert drawn.same.tolist() == [True, True, False, False]
    rows = pairs_of_two(6)
    drawn = draw_pairs(rows, everything(rows), count=1000, rng=rng())
    assert drawn.same.sum() == 6
    assert len(drawn.same) == 12


@pytest.mark.parametrize("rows", [classes([3, 1, 7, 2]), pairs_of_two(30)], ids=["classes", "pairs"])
def test_triplets(rows):
    drawn = draw_triplets(rows, everything(rows), count=500, rng=rng())
    assert len(drawn.anchor) == 500
    assert (rows.group[drawn.anchor] == rows.group[drawn.positive]).all()
    assert (rows.group[drawn.anchor] != rows.group[drawn.negative]).all()
    assert (drawn.anchor != drawn.positive).all()
    if rows.has_roles:
        assert set(rows.role[drawn.anchor]) == {"left"}
        assert set(rows.role[np.concatenate([drawn.positive, drawn.negative])]) == {"right"}


def test_partners_are_uniform():
    rows = classes([4, 8])
    drawn = draw_triplets(rows, everything(rows), count=60_000, rng=rng())
    anchor = np.flatnonzero(rows.labels == 0)[1]
    asked = drawn.anchor == anchor  # 5,000 expected
    positives = np.bincount(drawn.positive[asked], minlength=12)
    negatives = np.bincount(drawn.negative[asked], minlength=12)
    assert (positives[rows.labels == 0] > 0).sum() == 3
    assert np.ptp(positives[positives > 0]) < 0.15 * asked.sum()
    assert (negatives[rows.labels == 1] > 0).all()
    assert np.ptp(negatives[negatives > 0]) < 0.08 * asked.sum()


@pytest.mark.parametrize("sizes", [[5], [1, 1, 1], []])
def test_no_pairs_where_there_are_none(sizes):
    rows = classes(sizes)
    assert draw_pairs(rows, everything(rows), count=10, rng=rng()) is None
    assert draw_triplets(rows, everything(rows), count=10, rng=rng()) is None


def test_episodes():
    rows = classes([6, 3, 7, 8, 10, 6])
    drawn = draw_episodes(rows, everything(rows), count=50, way=4, shot=2, queries=3, rng=rng())
    assert (drawn.way, drawn.shot) == (4, 2)
    assert drawn.support.shape == (50, 4, 2)
    assert drawn.query.shape == (50, 4, 3)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert len({*support.ravel(), *query.ravel()}) == 20
        groups = rows.group[np.concatenate([support, query], axis=1)]  # (4, 5)
        assert all(len(set(row)) == 1 for row in groups)
        assert len(set(groups[:, 0])) == 4
    assert "g01" not in rows.group[drawn.support]  # too small
    assert draw_episodes(rows, everything(rows), count=5, way=None, shot=1, queries=5, rng=rng()).way == 5
    many = classes([6] * 25)
    assert draw_episodes(many, everything(many), count=5, way=None, shot=1, queries=5, rng=rng()).way == 20


def test_more_ways_than_groups_has_no_episodes():
    rows = classes([6, 6, 6])
    assert draw_episodes(rows, everything(rows), count=5, way=4, shot=1, queries=5, rng=rng()) is None
    assert draw_episodes(rows, everything(rows), count=5, way=None, shot=2, queries=5, rng=rng()) is None
    rows = pairs_of_two(10)
    assert draw_episodes(rows, everything(rows), count=5, way=None, shot=1, queries=1, rng=rng()) is None


def test_the_ways_asked_for_need_one_part_of_the_test():
    rows = classes([6] * 5)
    seen = np.isin(rows.group, ["g00", "g01"])
    parts = {"val": everything(rows), "test_seen": np.flatnonzero(seen), "test_unseen": np.flatnonzero(~seen)}
    assert check_way(rows, parts, way=2, images=6) == []
    (note,) = check_way(rows, parts, way=3, images=6)  # 90 unseen and 10 seen classes: the unseen ones have episodes
    assert "3-way" in note and "test_seen (2 groups)" in note and "unseen" not in note
    with pytest.raises(DataError, match=r"data\.episodes\.way: 4 wanted.* 3 groups .*6 images"):
        check_way(rows, parts, way=4, images=6)
    with pytest.raises(DataError, match=r"data\.episodes\.way: groups of pairs"):
        check_way(pairs_of_two(10), {"test": np.arange(20)}, way=2, images=2)

from collections import Counter

import pytest

from data.datasets.source import Item
from data.errors import DataError
from data.preparation.choose import choose, natural_sort, seen_groups


def make(sizes: dict[tuple[str, str], int]) -> list[Item]:
    return [
        Item(f"{part}/{group}/{index}", group, part=part)
        for (group, part), size in sizes.items()
        for index in range(size)
    ]


def digits(train: int = 10, test: int = 5) -> list[Item]:
    return make({(str(digit), part): size for digit in range(12) for part, size in (("train", train), ("test", test))})


def test_groups_are_ordered_as_people_count():
    assert natural_sort({"10", "9", "1"}) == ["1", "9", "10"]
    assert natural_sort({"b10", "b9", "a", "10"}) == ["10", "a", "b9", "b10"]
    assert natural_sort({"", "0", "a1b2", "a1b10", "01", "1"}) == ["", "0", "01", "1", "a1b2", "a1b10"]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (None, 12),
        (3, 3),
        (0.5, 6),
        (1.0, 12),
        (1, 1),
        (("3", "11"), 2),
    ],
)
def test_seen(seen, wanted):
    found = seen_groups(digits(), seen)
    assert len(found) == wanted
    if not isinstance(seen, tuple):
        assert found == {str(digit) for digit in range(wanted)}


def test_a_group_with_test_images_only_is_never_seen():
    items = make({("a", "train"): 3, ("b", "test"): 3})
    assert seen_groups(items, None) == {"a"}
    with pytest.raises(DataError, match=r"data\.seen: 2 groups wanted, there are 1 to train on"):
        seen_groups(items, 2)


def test_an_unknown_group_gets_the_nearest():
    items = make({("cat", ""): 3, ("dog", ""): 3})
    with pytest.raises(DataError, match=r"data\.seen: no group 'catt' to train on; did you mean 'cat'\?"):
        seen_groups(items, ("catt",))
    with pytest.raises(DataError, match="no group 'zebra' to train on; known: cat, dog"):
        seen_groups(items, ("zebra",))


def kept(items: list[Item], **changes) -> tuple[Counter, int]:
    options = {"seen": seen_groups(items, None), "groups": None, "limit": None, "seed": 0, **changes}
    indices, hidden = choose(items, **options)
    assert indices == sorted(set(indices))
    return Counter((items[index].group, items[index].part) for index in indices), hidden


def test_everything_by_default():
    found, hidden = kept(digits())
    assert sum(found.values()) == 180
    assert hidden == 0


def test_training_images_of_unseen_groups_that_have_test_images_are_left_out():
    found, hidden = kept(digits(), seen={"0", "1"})
    assert hidden == 100
    assert found["0", "train"] == 10
    assert found["5", "train"] == 0
    assert found["5", "test"] == 5
    # With no test images of its own, an unseen group tests with what it has.
    items = make({("a", "train"): 3, ("b", "train"): 4})
    found, hidden = kept(items, seen={"a"})
    assert (found["b", "train"], hidden) == (4, 0)


def test_the_first_groups():
    found, _ = kept(digits(), groups=3)
    assert {group for group, _ in found} == {"0", "1", "2"}


def test_a_limit_is_spread_evenly_and_small_groups_leave_their_share():
    found, _ = kept(digits(), limit=48)
    assert set(found.values()) == {2}
    items = make({("a", ""): 1, ("b", ""): 50, ("c", ""): 50})
    found, _ = kept(items, limit=21)
    assert found == {("a", ""): 1, ("b", ""): 10, ("c", ""): 10}
    assert kept(items, limit=1000)[0] == {("a", ""): 1, ("b", ""): 50, ("c", ""): 50}
    with pytest.raises(DataError, match=r"data\.limit: 2 images cannot cover 3 groups; give at least 3"):
        kept(items, limit=2)


def test_a_limit_keeps_whole_pairs_and_the_submission():
    items = [Item(f"{role}{index}", f"g{index}", role=role) for index in range(20) for role in ("left", "right")]
    items += [Item("query", "q", role="left", part="submit")]
    indices, _ = choose(items, seen=set(), groups=None, limit=11, seed=0)
    chosen = [items[index] for index in indices]
    assert len(chosen) == 11
    assert chosen[-1].id == "query"
    assert set(Counter(item.group for item in chosen[:-1]).values()) == {2}

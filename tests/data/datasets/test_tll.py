"""Totally Looks Like, in its two layouts."""

from collections import Counter
from pathlib import Path

import pytest
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError


def challenge(top: Path, **changes: bytes) -> Path:
    train = [(f"l{i}", f"r{i}") for i in range(6)]
    files = {f"train/left/{left}.jpg": png(i) for i, (left, _) in enumerate(train)}
    files |= {f"train/right/{right}.jpg": png(10 + i) for i, (_, right) in enumerate(train)}
    files |= {f"test/left/q{i}.jpg": png(20 + i) for i in range(2)}
    files |= {f"test/right/c{i}.jpg": png(30 + i) for i in range(12)}
    files["train.csv"] = "\n".join(["left,right", *map(",".join, train)]).encode()
    columns = [f"c{i}" for i in range(11)]
    rows = ["left," + ",".join(columns), "q0," + ",".join(columns), "q1," + ",".join(f"c{i + 1}" for i in range(11))]
    files["test_candidates.csv"] = "\n".join(rows).encode()
    return write(top, {f"TLL/{name}": value for name, value in {**files, **changes}.items()})


def test_tll_of_the_challenge(tmp_path):
    for path in (challenge(tmp_path / "c"), zip_of(tmp_path / "c")):
        source = opened("tll", path)
        items = source.items
        assert Counter((item.part, item.role) for item in items) == {
            ("", "left"): 6,
            ("", "right"): 6,
            ("submit", "left"): 2,
            ("submit", "right"): 12,
        }
        assert (items[3].id, items[3].group) == ("train/right/r1", "l1")
        (first, listed), (second, shifted) = source.submit
        assert [items[first].id, items[second].id] == ["test/left/q0", "test/left/q1"]
        # In the order of the columns: c10 comes last, not after c1.
        assert [items[index].id for index in listed] == [f"test/right/c{i}" for i in range(11)]
        assert [items[index].id for index in shifted] == [f"test/right/c{i + 1}" for i in range(11)]
        groups = Counter(item.group for item in items)
        assert all(groups[item.group] == 1 for item in items if item.part == "submit")
        assert list(source.read([0, listed[1]])) == [png(0), png(31)]


def test_tll_in_full(tmp_path):
    for top in ("", "tll/data/"):
        path = tmp_path / f"f{len(top)}"
        write(path, {f"{top}{side}/{i:05d}.jpg": png(i) for side in ("left", "right") for i in range(3)})
        for where in (path, zip_of(path)):
            source = opened("tll", where)
            assert [item.id for item in source.items][2:4] == ["left/00002.jpg", "right/00000.jpg"]
            assert source.submit == ()


def test_tll_that_lacks_something_is_said(tmp_path):
    with pytest.raises(DataError, match="its tables name images that are not there: train/left/zz"):
        opened("tll", challenge(tmp_path / "a", **{"train.csv": b"left,right\nzz,r0\n"}))
    with pytest.raises(DataError, match="candidates of q0: named more than once: c1"):
        opened("tll", challenge(tmp_path / "b", **{"test_candidates.csv": b"left,c0,c1\nq0,c1,c1\n"}))
    with pytest.raises(
        DataError, match=r"neither train\.csv \(the challenge\) nor left and right \(the full set\) inside"
    ):
        opened("tll", write(tmp_path / "c", {"x.jpg": b""}))

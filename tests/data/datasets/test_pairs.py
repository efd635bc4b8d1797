"""Pairs of one's own: by equal names, or by a table."""

import pytest
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError

TABLE = b"left,right,comment\na/1.png,b/1.png,x\na/2.png,b/2.png,\n"


def test_pairs_of_equal_names(tmp_path):
    write(
        tmp_path / "p",
        {f"{side}/{name}": png(i) for i, side in enumerate(("left", "right")) for name in ("1", "ü.png")},
    )
    for path in (tmp_path / "p", zip_of(tmp_path / "p")):
        source = opened("pairs", path)
        assert [(item.id, item.group, item.role) for item in source.items] == [
            ("left/1", "1", "left"),
            ("left/ü.png", "ü.png", "left"),
            ("right/1", "1", "right"),
            ("right/ü.png", "ü.png", "right"),
        ]
        assert list(source.read([2, 0])) == [png(1), png(0)]


def test_pairs_without_partner_are_said(tmp_path):
    files = {f"left/{index}.png": b"" for index in range(7)} | {"right/x.png": b""}
    with pytest.raises(DataError, match=r"no partner of the same name for left/0\.png, .*left/4\.png and 3 more"):
        opened("pairs", write(tmp_path, files))


def test_pairs_of_a_table(tmp_path):
    write(tmp_path, {f"{side}/{i}.png": png(i) for side in "ab" for i in (1, 2)} | {"my pairs.csv": TABLE})
    source = opened("pairs", tmp_path)
    assert [(item.id, item.group) for item in source.items] == [
        ("left/a/1.png", "a/1.png"),
        ("right/b/1.png", "a/1.png"),
        ("left/a/2.png", "a/2.png"),
        ("right/b/2.png", "a/2.png"),
    ]
    assert source.notes == ()
    assert list(source.read([3])) == [png(2)]
    alone = opened("pairs", tmp_path / "my pairs.csv")
    assert alone.items == source.items
    assert alone.notes == (
        "DVC watches the CSV file only; name its folder in data.path to have the images watched too",
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"left,right\na/1.png,b/9.png\n", r"names images that are not there: b/9\.png"),
        (TABLE + b"a/1.png,b/3.png\n", r"t\.csv: column left: named more than once: a/1\.png"),
        (TABLE + b"a/3.png,b/2.png\n", r"t\.csv: column right: named more than once: b/2\.png"),
        (b"one,two\na,b\n", r"t\.csv: no column 'left' in its first line, which must name left,right"),
        (b"left,right\na/1.png\n", r"t\.csv: line 2 has no right"),
        (b"left,right\n", r"t\.csv: no rows under a first line that names left,right"),
        (b"", r"t\.csv: no rows"),
        (b"left,right\n\xff,b\n", r"t\.csv: not a CSV file in UTF-8"),
    ],
)
def test_wrong_tables_are_said(tmp_path, table, said):
    write(tmp_path, {f"{side}/{i}.png": png(i) for side in "ab" for i in (1, 2, 3)} | {"t.csv": table})
    with pytest.raises(DataError, match=said):
        opened("pairs", tmp_path)


def test_no_layout_of_pairs_is_said(tmp_path):
    with pytest.raises(
        DataError, match=r"needs the folders left and right, or one \.csv of left,right; it has 0 \.csv"
    ):
        opened("pairs", write(tmp_path, {"a/1.png": b""}))

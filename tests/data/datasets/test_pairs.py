"""Pairs of one's own: by equal names, or by a table."""

import unicodedata
from collections import Counter

import pytest
from built import prepare
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError

TABLE = b"left,right,comment\na/1.png,b/1.png,x\na/2.png,b/2.png,\n"


def images(top, count=4):
    return write(top, {f"{side}/{i}.png": png(100 * (side == "b") + i) for side in "ab" for i in range(1, count)})


def test_pairs_of_equal_names(tmp_path):
    write(
        tmp_path / "p",
        {f"{side}/{name}": png(i) for i, side in enumerate(("left", "right")) for name in ("1", "ü.png")},
    )
    write(
        tmp_path / "wrapped",
        {f"p/{side}/{name}": png(i) for i, side in enumerate(("left", "right")) for name in ("1", "ü.png")},
    )
    for path in (tmp_path / "p", zip_of(tmp_path / "p"), tmp_path / "wrapped"):
        source = opened("pairs", path)
        assert [(item.id, item.group, item.role) for item in source.items] == [
            ("left/1", "1", "left"),
            ("left/ü.png", "ü.png", "left"),
            ("right/1", "1", "right"),
            ("right/ü.png", "ü.png", "right"),
        ]
        assert list(source.read([2, 0])) == [png(1), png(0)]


def test_pairs_without_partner_are_an_error(tmp_path):
    files = {f"left/{index}.png": b"" for index in range(7)} | {"right/x.png": b""}
    with pytest.raises(DataError, match=r"no partner of the same name for left/0\.png, .*left/4\.png and 3 more"):
        opened("pairs", write(tmp_path, files))


def test_pairs_of_a_table(tmp_path):
    write(images(tmp_path), {"my pairs.csv": TABLE})
    source = opened("pairs", tmp_path)
    assert [(item.id, item.group, item.role) for item in source.items] == [
        ("left/a/1.png", "a/1.png", "left"),
        ("right/b/1.png", "a/1.png", "right"),
        ("left/a/2.png", "a/2.png", "left"),
        ("right/b/2.png", "a/2.png", "right"),
    ]
    assert source.notes == ("2 images that no table names are left out", "columns that are not read: comment")
    assert list(source.read([3])) == [png(102)]
    alone = opened("pairs", tmp_path / "my pairs.csv")
    assert alone.items == source.items
    assert any("DVC watches the table only" in note for note in alone.notes)


SPELLINGS = {
    "blanks, capitals and a byte-order mark": "\ufeff Left , RIGHT \r\na/1.png , b/1.png\r\n",
    "semicolons": "left;right\na/1.png;b/1.png\n",
    "tabs": "left\tright\na/1.png\tb/1.png\n",
    "quotes and an empty line": '"left","right"\n\n"a/1.png","b/1.png"\n',
    "backslashes": "left,right\na\\1.png,.\\b\\1.png\n",
    "file URLs": "left,right\nfile:///elsewhere/a/1.png,file://TOP/b/1.png\n",
    "absolute paths": "left,right\nTOP/a/1.png,C:\\data\\b\\1.png\n",
    "dots": "left,right\n../NAME/a/1.png,b/../b/./1.png\n",
    "the folder's own name": "left,right\nNAME/a/1.png,NAME/b/1.png\n",
    "no suffixes": "left,right\na/1,b/1\n",
    "another case": "left,right\nA/1.PNG,b/1.PNG\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_table_may_be_written_in_many_ways(tmp_path, spelling):
    text = SPELLINGS[spelling].replace("TOP", str(tmp_path)).replace("NAME", tmp_path.name)
    write(images(tmp_path), {"t.csv": text.encode()})
    for path in (tmp_path, tmp_path / "t.csv"):
        assert [item.id for item in opened("pairs", path).items] == ["left/a/1.png", "right/b/1.png"]


def test_unicode_names_are_found_in_either_form(tmp_path):
    name = "größe é.png"
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        top = tmp_path / form
        stored, asked = (unicodedata.normalize(one, name) for one in (form, other))
        write(
            top, {f"a/{stored}": png(1), f"b/{stored}": png(2), "t.csv": f"left,right\na/{asked},b/{asked}\n".encode()}
        )
        assert list(opened("pairs", top).read([0, 1])) == [png(1), png(2)]


def test_a_table_beside_or_below_its_images(tmp_path):
    images(tmp_path / "images")
    write(tmp_path, {"meta/t.tsv": b"left\tright\n../images/a/1.png\t../images/b/1.png\n"})
    for path in (tmp_path, tmp_path / "meta" / "t.tsv"):
        source = opened("pairs", path)
        assert list(source.read([0, 1])) == [png(1), png(101)]
    with pytest.raises(DataError, match=r"name in data\.path a folder that holds the table and the images"):
        opened("pairs", tmp_path / "meta")


def test_an_image_in_several_pairs_makes_one_group(tmp_path):
    write(
        images(tmp_path, 5),
        {"t.csv": b"left,right\na/1.png,b/1.png\nb/1.png,a/2.png\na/3.png,b/3.png\na/3.png,b/3.png\n"},
    )
    source = opened("pairs", tmp_path)
    assert {item.id: item.group for item in source.items} == {
        "a/1.png": "a/1.png",
        "b/1.png": "a/1.png",
        "a/2.png": "a/1.png",
        "a/3.png": "a/3.png",
        "b/3.png": "a/3.png",
    }
    assert {item.role for item in source.items} == {""}
    notes = "\n".join(source.notes)
    assert "1 rows repeat a pair" in notes
    assert "1 images are in several pairs: connected pairs are one group, the largest of 3 images" in notes


def test_a_column_that_marks_every_pair_as_matching_changes_nothing(tmp_path):
    write(images(tmp_path), {"t.csv": b"Unnamed: 0,left,right,label\n0,a/1.png,b/1.png,1\n1,a/2.png,b/2.png,1\n"})
    assert [item.role for item in opened("pairs", tmp_path).items] == ["left", "right"] * 2


def judged(top, *, column="label", yes="1", no="0", count=40):
    """Pairs a/i, b/i that match, and a/i, b/i+1 that do not, for every second i."""
    lines = [f"a/{i}.png,b/{i}.png,{yes}" for i in range(1, count)]
    lines += [f"a/{i}.png,b/{i + 1}.png,{no}" for i in range(1, count - 1, 2)]
    return write(images(top, count), {"t.csv": "\n".join([f"left,right,{column}", *lines]).encode()})


@pytest.mark.parametrize(
    ("column", "yes", "no"), [("label", "1", "0"), ("Same", "True", "false"), ("match", "1", "-1")]
)
def test_pairs_marked_as_not_matching_are_not_alike_and_verify(tmp_path, column, yes, no):
    source = opened("pairs", judged(tmp_path / "in", column=column, yes=yes, no=no))
    assert set(Counter(item.group for item in source.items).values()) == {2}
    assert "19 marked as not matching" in "\n".join(source.notes)
    protocol = prepare(source, tmp_path / "out", split_by="group", pairs=1000)
    ids = sorted(item.id for item in source.items)
    for name, drawn in protocol.pairs.items():
        for a, b, same in zip(drawn.a, drawn.b, drawn.same, strict=True):
            one, two = (int(ids[row][2:-4]) for row in (a, b))
            assert (one == two) == same, name
            assert same or abs(one - two) == 1  # a pair of the table, none that was drawn
    assert any("test_unseen that the data set itself judges" in note for note in protocol.notes)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("left,right\na/1.png,b/9.png\n", r"names images that are not there: b/9\.png"),
        ("left,right\nhttp://x/1.png,b/1.png\n", "download them first"),
        ("left,right\n1.png,b/1.png\n", r"in several folders: 1\.png \(a/1\.png or b/1\.png\)"),
        ("left,right\na/1.png,a/1.png\n", r"the same image: a/1\.png"),
        ("left,right,left\na/1.png,b/1.png,x\n", "named more than once: left"),
        ("one,two\na,b\n", r"t\.csv: no column 'left' in its first line \(one, two\)"),
        ("left,right\na/1.png\n", r"t\.csv: line 2 has no right"),
        ("left,right\na/1.png,b/1.png,a/2.png\n", "line 2 has 3 values, the first line 2"),
        ("left,right\n", r"t\.csv: no rows under a first line that names left,right"),
        ("", r"t\.csv: no rows"),
        ("left,right\n\udcff,b\n", r"t\.csv: not a CSV file in UTF-8"),
        ("left,right,label\na/1.png,b/1.png,cat\n", "does label say which pairs match"),
        ("left,right,winner\na/1.png,b/1.png,1\na/2.png,b/2.png,0\n", "does winner say which pairs match"),
        ("left,right,label\na/1.png,b/1.png,0\n", "column label marks no pair as matching"),
        ("left,right,similarity\na/1.png,b/1.png,0.3\n", "does similarity say which pairs match"),
        (
            "left,right,label\na/1.png,b/1.png,1\nb/1.png,a/2.png,1\na/1.png,a/2.png,0\n",
            r"not matching that other rows connect: a/1\.png and a/2\.png",
        ),
    ],
)
def test_wrong_tables_are_an_error(tmp_path, table, said):
    write(images(tmp_path), {"t.csv": table.encode(errors="surrogateescape")})
    with pytest.raises(DataError, match=said):
        opened("pairs", tmp_path)


def test_no_layout_of_pairs_is_an_error(tmp_path):
    with pytest.raises(DataError, match="needs the folders left and right, or one table of left,right; it has 0"):
        opened("pairs", write(tmp_path, {"a/1.png": b""}))
    write(tmp_path, {"one.csv": TABLE, "two.csv": TABLE})
    with pytest.raises(DataError, match=r"2 tables \(one\.csv, two\.csv\); name one in data\.path"):
        opened("pairs", tmp_path)

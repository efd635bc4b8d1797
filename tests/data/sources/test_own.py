"""Readers of people's own data: folder, pairs, tll, parquet."""

import json
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.catalogue import CATALOGUE, Place
from data.decode import Unusable
from data.errors import DataError
from pictures import class_folder, png


def opened(name: str, path: Path, level: str | None = None, **archives):
    entry = CATALOGUE[name]
    return entry.open(Place(archives=archives, path=path, level=level or "".join(entry.levels[:1])))


def write(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return top


def zip_of(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def test_folder(tmp_path):
    write(
        tmp_path / "f", {"cats/black/1.png": png(1), "cats/2.JPG": png(2), "döner kebap/3": png(3), "dogs/4.png": b""}
    )
    for path in (tmp_path / "f", zip_of(tmp_path / "f")):
        source = opened("folder", path)
        assert {item.id: item.group for item in source.items} == {
            "cats/black/1.png": "cats/black",
            "cats/2.JPG": "cats",
            "döner kebap/3": "döner kebap",
            "dogs/4.png": "dogs",
        }
        assert {item.part for item in source.items} == {""}
        contents = dict(zip([item.id for item in source.items], source.read(range(4)), strict=True))
        assert contents["cats/2.JPG"] == png(2)
        assert contents["dogs/4.png"] == b""
    assert {item.group for item in opened("folder", tmp_path / "f", "top").items} == {"cats", "döner kebap", "dogs"}


def test_folder_with_splits_of_its_own(tmp_path):
    write(tmp_path, {f"{part}/{group}/1.png": png(1) for part in ("train", "valid", "test") for group in ("a", "b/c")})
    source = opened("folder", tmp_path)
    assert {(item.id.split("/")[0], item.part) for item in source.items} == {
        ("train", "train"),
        ("valid", "val"),
        ("test", "test"),
    }
    assert {item.group for item in source.items} == {"a", "b/c"}


def test_an_image_in_no_class_folder_is_listed_with_its_reason(tmp_path):
    write(tmp_path, {"a/1.png": png(1), "loose.png": png(2)})
    source = opened("folder", tmp_path)
    answers = {item.id: answer for item, answer in zip(source.items, source.read(range(2)), strict=True)}
    assert answers["a/1.png"] == png(1)
    assert isinstance(answers["loose.png"], Unusable)
    assert str(answers["loose.png"]) == "classless: lies in no class folder"


@pytest.mark.parametrize("files", [{}, {"1.png": b"", "2.png": b""}])
def test_a_folder_without_class_folders_is_said(tmp_path, files):
    with pytest.raises(
        DataError, match="no class folder with images in it; put the images of each class into a folder"
    ):
        opened("folder", write(tmp_path, files))


def test_no_path_is_said_with_what_to_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"pictures/.gitignore": b"*"})
    for name in ("folder", "pairs", "parquet", "tll"):
        with pytest.raises(
            DataError, match=rf"data\.path: say where your data lie: -S data\.name={name} -S data\.path="
        ):
            opened(name, Path("pictures"))
    class_folder(tmp_path / "pictures")
    assert len(opened("folder", Path("pictures")).items) == 40
    with pytest.raises(DataError, match="nowhere: there is no such folder or file"):
        opened("folder", Path("nowhere"))


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


TABLE = b"left,right,comment\na/1.png,b/1.png,x\na/2.png,b/2.png,\n"


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


def hub(path: Path, *, names: list[str] | None = None, start: int = 0, count: int = 6) -> Path:
    images = [{"bytes": png(start + index), "path": None} for index in range(count)]
    table = pa.table({"image": images, "label": [index % 2 for index in range(count)]})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=4)
    return path


def test_parquet_file(tmp_path):
    source = opened("parquet", hub(tmp_path / "data.parquet", names=["cat", "dog"]))
    assert [(item.id, item.group, item.part) for item in source.items[:2]] == [
        ("00000000", "cat", ""),
        ("00000001", "dog", ""),
    ]
    assert source.group_level == "label"
    assert list(source.read([5, 0, 3])) == [png(5), png(0), png(3)]


def test_parquet_folder_of_the_hub(tmp_path):
    hub(tmp_path / "data" / "train-00000-of-00002.parquet")
    hub(tmp_path / "data" / "train-00001-of-00002.parquet", start=6)
    hub(tmp_path / "data" / "test-00000-of-00001.parquet", start=12)
    hub(tmp_path / ".cache" / "x.parquet")
    source = opened("parquet", tmp_path)
    assert Counter(item.part for item in source.items) == {"train": 12, "test": 6}
    assert {item.group for item in source.items} == {"0", "1"}
    where = {item.id: index for index, item in enumerate(source.items)}
    assert list(source.read([where["data/train-00001-of-00002/00000002"]])) == [png(8)]


def test_parquet_with_plain_bytes_and_an_odd_label(tmp_path):
    table = pa.table({"id": [1, 2], "picture": [png(1), None], "breed": ["a", "b"]})
    pq.write_table(table, tmp_path / "p.parquet")
    source = opened("parquet", tmp_path / "p.parquet", "breed")
    assert [item.group for item in source.items] == ["a", "b"]
    first, second = source.read([0, 1])
    assert first == png(1)
    assert str(second) == "missing: no bytes in this row"


@pytest.mark.parametrize(
    ("columns", "level", "said"),
    [
        ({"label": [1]}, None, r"no image column \(binary, or a struct with bytes\); it has label"),
        ({"image": [b""], "kind": [1]}, None, r"no label column; name it in data\.group; it has image, kind"),
        ({"image": [b""], "label": [1]}, "kind", r"data\.group: no column 'kind'; it has image, label"),
        ({"image": [b""], "label": [None]}, None, "row 0 has no label"),
    ],
)
def test_parquet_without_columns_is_said(tmp_path, columns, level, said):
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=said):
        opened("parquet", tmp_path / "p.parquet", level)


def test_no_parquet_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no \.parquet file inside"):
        opened("parquet", tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"x\.parquet: not a whole parquet file"):
        opened("parquet", tmp_path)

"""Tables of images and labels, of one's own."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError


def images(top, *folders, count=4):
    return write(top, {f"{folder}/{i}.jpg": png(i) for folder in folders or ("images",) for i in range(count)})


def found(source) -> dict[str, tuple[str, str]]:
    return {item.id: (item.group, item.part) for item in source.items}


TABLES = {
    "image,label": "image,label\nimages/0.jpg,cat\nimages/1.jpg,dog\n",
    "file names alone": "filename,breed\n0.jpg,cat\n1.jpg,dog\n",
    "ids without suffix": "id,species\n0,cat\n1,dog\n",
    "paths of another machine, an index": ",filepath,class\n0,/h/images/0.jpg,cat\n1,C:\\x\\images\\1.jpg,dog\n",
    "semicolons, capitals, blanks": "Image ; Label\nimages/0.jpg ; cat\nimages/1.jpg;dog\n",
    "labels like file names": "label,image\n3,images/0.jpg\n2,images/1.jpg\n",
    "another label column": "image,what\nimages/0.jpg,cat\nimages/1.jpg,dog\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_people_write_them(tmp_path, name):
    images(tmp_path / "d")
    write(tmp_path / "d", {"labels.csv": TABLES[name].encode()})
    one, two = ("3", "2") if name == "labels like file names" else ("cat", "dog")
    wanted = {"images/0.jpg": (one, ""), "images/1.jpg": (two, "")}
    for path in (tmp_path / "d", tmp_path / "d" / "labels.csv", zip_of(tmp_path / "d")):
        source = opened("table", path)
        assert found(source) == wanted
        assert list(source.read([1])) == [png(1)]


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        ("split", ("Training", "valid", "TEST"), ("train", "val", "test")),
        ("data set", ("train", "", "test"), ("train", "", "test")),
        ("set", ("setosa", "x", "y"), ("", "", "")),
    ],
)
def test_a_column_of_splits_is_kept(tmp_path, column, values, wanted):
    lines = [f"images/{i}.jpg,{'ab'[i % 2]},{value}" for i, value in enumerate(values)]
    write(images(tmp_path), {"t.csv": "\n".join([f"image,label,{column}", *lines]).encode()})
    assert tuple(item.part for item in opened("table", tmp_path).items) == wanted


def test_tables_named_after_splits_count_together(tmp_path):
    images(tmp_path, "train", "test")
    table = "image,label\n{0}/0.jpg,cat\n{0}/1.jpg,dog\n"
    write(tmp_path, {f"{split}.csv": table.format(split).encode() for split in ("train", "test")})
    write(tmp_path, {"sample_submission.csv": b"id,cat,dog\n0,0.5,0.5\n"})
    assert found(opened("table", tmp_path)) == {
        f"{split}/{i}.jpg": (("cat", "dog")[i], split) for split in ("train", "test") for i in range(2)
    }


def test_a_test_table_without_labels_is_left_out_and_noted(tmp_path):
    write(images(tmp_path), {"train.csv": b"id,label\n0,cat\n1,dog\n", "test.csv": b"id\n2\n3\n"})
    source = opened("table", tmp_path)
    assert [item.part for item in source.items] == ["train", "train"]
    assert any("test.csv: no label column" in note for note in source.notes)


def test_equal_names_in_the_folders_of_two_splits_are_told_by_the_tables_name(tmp_path):
    images(tmp_path, "train_images", "test_images")
    write(tmp_path, {"train.csv": b"id,label\n0,cat\n1,dog\n", "test.csv": b"id,label\n0,cat\n"})
    assert set(found(opened("table", tmp_path))) == {"train_images/0.jpg", "train_images/1.jpg", "test_images/0.jpg"}


def test_metadata_in_the_folders_of_splits(tmp_path):
    images(tmp_path, "train", "test")
    lines = '{"file_name": "0.jpg", "label": 7}\n{"file_name": "1.jpg", "label": 8}\n'
    write(tmp_path, {f"{split}/metadata.jsonl": lines.encode() for split in ("train", "test")})
    assert found(opened("table", tmp_path)) == {
        f"{split}/{i}.jpg": (str(7 + i), split) for split in ("train", "test") for i in range(2)
    }


def test_labels_of_train_beside_a_submission_of_the_same_form(tmp_path):
    images(tmp_path, "train", "test")
    write(tmp_path, {"trainLabels.csv": b"id,label\n0,cat\n1,dog\n", "sampleSubmission.csv": b"id,label\n0,cat\n"})
    for path in (tmp_path, tmp_path / "trainLabels.csv"):
        assert set(found(opened("table", path))) == {"train/0.jpg", "train/1.jpg"}


def test_missing_labels_are_left_out_and_counted(tmp_path):
    write(images(tmp_path), {"t.csv": b"image,label\n0.jpg,7\n1.jpg,8\n2.jpg,-1\n3.jpg,NaN\n"})
    source = opened("table", tmp_path)
    assert [item.group for item in source.items] == ["7", "8"]
    assert any("2 images of t.csv have no label" in note for note in source.notes)
    write(tmp_path, {"t.csv": b"image,label\n0.jpg,7\n1.jpg,8\n"})
    assert opened("table", tmp_path).notes == ("2 images that no table names are left out",)


def test_a_table_in_parquet(tmp_path):
    columns = {"Path": ["images/0.jpg", "images/1.jpg"], "label": [3, 4], "kind": ["a", "b"]}
    pq.write_table(pa.table(columns), images(tmp_path) / "t.parquet")
    assert found(opened("table", tmp_path)) == {"images/0.jpg": ("3", ""), "images/1.jpg": ("4", "")}
    assert [item.group for item in opened("table", tmp_path, "kind").items] == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "level", "said"),
    [
        ({}, None, r"no table \(\.csv, \.tsv, \.jsonl, \.parquet\)"),
        (
            {"a.csv": "image,label\n0.jpg,a\n", "b.csv": "image,label\n1.jpg,b\n"},
            None,
            "several tables .*name one in data.path",
        ),
        ({"a.csv": "image,label\n9.jpg,a\n8.jpg,b\n"}, None, r"no column names images that are there .*9\.jpg"),
        ({"a.csv": "image,label\n0.jpg,a\n8.jpg,b\n"}, None, r"not there: 8\.jpg"),
        ({"a.csv": "image,x,y\n0.jpg,a,b\n"}, None, r"no label column; name it in data\.group"),
        ({"a.csv": "image,label\n0.jpg,a\n"}, "kind", r"data\.group: no column 'kind'; it has image, label"),
        ({"a.csv": "image,label\n0.jpg,a\n0.jpg,b\n"}, None, r"two labels or in two splits: images/0\.jpg \(a and b\)"),
        ({"a.csv": "image,label\n0.jpg,a\n1.jpg,a\n"}, None, "fewer than two labels"),
        (
            {"a.csv": "image,label,split\n0.jpg,a,1\n1.jpg,b,2\n"},
            None,
            "column split holds 1, 2; write train, val or test",
        ),
        ({"a.csv": "image,label,partition\n0.jpg,a,0\n1.jpg,b,1\n"}, None, "column partition holds 0, 1"),
        ({"a.csv": "image,label,set\n0.jpg,a,train\n1.jpg,b,zzz\n"}, None, "column set holds zzz"),
    ],
)
def test_tables_that_do_not_do_are_an_error(tmp_path, files, level, said):
    write(images(tmp_path), {name: content.encode() for name, content in files.items()})
    with pytest.raises(DataError, match=said):
        opened("table", tmp_path, level)


def test_a_table_of_pairs_is_sent_to_the_other_reader(tmp_path):
    write(images(tmp_path), {"t.csv": b"left,right,label\n0.jpg,1.jpg,1\n"})
    with pytest.raises(DataError, match=r"data\.name=pairs"):
        opened("table", tmp_path)


def test_the_same_name_in_two_folders_is_an_error(tmp_path):
    write(images(tmp_path, "a", "b"), {"t.csv": b"image,label\n0.jpg,a\n1.jpg,b\n"})
    with pytest.raises(DataError, match=r"in several folders: 0\.jpg"):
        opened("table", tmp_path)


def test_a_file_of_images_is_sent_to_the_other_reader(tmp_path):
    pq.write_table(pa.table({"image": [png(0), png(1)], "label": [0, 1]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"data\.name=parquet"):
        opened("table", tmp_path)

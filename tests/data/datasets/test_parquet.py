"""Parquet files, as people and hubs write them."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opened_sources import opened
from pictures import png

from data.errors import DataError, Unusable


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
        ({"image": ["a.jpg"], "label": [1]}, None, r"no image column .*-S data\.name=table"),
        ({"image": [b""], "label": [0.5]}, None, "fraction"),
        ({"image": [b""], "label": [[1, 2]]}, None, "type list"),
        ({"image": [b""], "label": [None]}, None, "fewer than two labels"),
    ],
)
def test_parquet_without_columns_is_said(tmp_path, columns, level, said):
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=said):
        opened("parquet", tmp_path / "p.parquet", level)


HUB = {
    "data folder": (
        {"data/train-00000-of-00001-5f2": 6, "data/validation-00000-of-00001-0ab": 2},
        {"train": 6, "val": 2},
    ),
    "refs/convert": ({"default/train/0000": 4, "default/partial-test/0000": 2}, {"train": 4, "test": 2}),
    "no folders": ({"mnist_train": 4, "mnist_test": 2}, {"train": 4, "test": 2}),
    "other splits beside": (
        {"train-00000-of-00001": 4, "test-00000-of-00001": 2, "unsupervised-00000-of-00001": 2},
        {"train": 4, "test": 2},
    ),
    "folders": ({"Training/a": 4, "Training/b": 4, "eval/a": 2}, {"train": 8, "test": 2}),
    "no splits": ({"a": 4, "b": 4}, {"": 8}),
}


@pytest.mark.parametrize("name", HUB)
def test_splits_of_hub_layouts_are_kept(tmp_path, name):
    shards, wanted = HUB[name]
    for shard, count in shards.items():
        hub(tmp_path / f"{shard}.parquet", count=count)
    source = opened("parquet", tmp_path)
    assert Counter(item.part for item in source.items) == wanted
    assert all(isinstance(content, bytes) for content in source.read(range(len(source.items))))
    if name == "other splits beside":
        assert any("2 images of unsupervised" in note for note in source.notes)
    if name == "data folder":
        assert any("a test is drawn from train" in note for note in source.notes)


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        (("en/train/0000", "fr/train/0000"), r"the same split in several folders \(en, fr\)"),
        (("test-00000-of-00001",), "holds no train split, only test"),
    ],
)
def test_splits_that_cannot_be_told_are_an_error(tmp_path, shards, said):
    for shard in shards:
        hub(tmp_path / f"{shard}.parquet")
    with pytest.raises(DataError, match=said):
        opened("parquet", tmp_path)


def test_a_test_without_a_label_column_is_left_out_and_counted(tmp_path):
    hub(tmp_path / "train-00000-of-00001.parquet")
    pq.write_table(pa.table({"image": [png(50), png(51)]}), tmp_path / "test-00000-of-00001.parquet")
    source = opened("parquet", tmp_path)
    assert {item.part for item in source.items} == {"train"}
    assert any("2 images of test have no label column" in note for note in source.notes)
    pq.write_table(pa.table({"image": [png(50)]}), tmp_path / "train-00001-of-00002.parquet")
    with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet: no label column"):
        opened("parquet", tmp_path)


def test_a_column_of_splits_is_kept(tmp_path):
    table = {"image": [png(i) for i in range(4)], "label": [0, 1, 0, 1], "split": ["Train", "train", "test", None]}
    pq.write_table(pa.table(table), tmp_path / "all.parquet")
    assert [item.part for item in opened("parquet", tmp_path / "all.parquet").items] == ["train", "train", "test", ""]


MISSING = {
    "-1 of named classes": ([0, 1, -1, 0], ["cat", "dog"], {"cat": 2, "dog": 1}),
    "-1 of numbers": ([0, 1, 2, -1], None, {"0": 1, "1": 1, "2": 1}),
    "-1 and 1 are two classes": ([1, -1, -1, 1], None, {"1": 2, "-1": 2}),
    "NaN": ([0.0, 1.0, float("nan"), 0.0], None, {"0": 2, "1": 1}),
    "empty text": (["a", "b", "", " "], None, {"a": 1, "b": 1}),
    "null": (["a", "b", None, "null"], None, {"a": 1, "b": 1}),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_labels_are_left_out_and_counted(tmp_path, name):
    labels, names, wanted = MISSING[name]
    table = pa.table({"image": [png(i) for i in range(4)], "label": labels})
    if names:
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
        )
    pq.write_table(table, tmp_path / "p.parquet")
    source = opened("parquet", tmp_path / "p.parquet")
    assert Counter(item.group for item in source.items) == wanted
    left_out = len(labels) - len(source.items)
    assert any(f"{left_out} images of" in note for note in source.notes) == (left_out > 0)
    assert [png(int(item.id)) for item in source.items] == list(source.read(range(len(source.items))))


def test_each_shard_is_read_by_its_own_schema(tmp_path):
    hub(tmp_path / "a.parquet", names=["cat", "dog"])
    hub(tmp_path / "b.parquet", start=6)  # numbers without names
    table = pa.table({"class": ["cat", "bird"], "Img": [png(12), png(13)]})
    pq.write_table(table, tmp_path / "c.parquet")
    source = opened("parquet", tmp_path)
    assert Counter(item.group for item in source.items) == {"cat": 7, "dog": 6, "bird": 1}
    assert list(source.read([12, 13])) == [png(12), png(13)]


def test_labels_of_two_kinds_are_an_error_that_names_the_files(tmp_path):
    hub(tmp_path / "a.parquet")
    pq.write_table(pa.table({"image": [png(12)], "label": ["cat"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"two kinds .*numbers in a, text in b"):
        opened("parquet", tmp_path)
    hub(tmp_path / "b.parquet", names=["cat", "dog"])
    hub(tmp_path / "a.parquet", names=["dog", "cat"])
    with pytest.raises(DataError, match=r"b\.parquet: names its classes otherwise than a\.parquet"):
        opened("parquet", tmp_path)
    hub(tmp_path / "a.parquet", names=["dog"])
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(DataError, match="label 1, and there are names for 0 to 0"):
        opened("parquet", tmp_path)


def test_no_parquet_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no \.parquet file inside"):
        opened("parquet", tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"x\.parquet: not a whole parquet file"):
        opened("parquet", tmp_path)


def repeated(path: Path, count: int, content: bytes) -> Path:
    """`count` rows of one image, which the file holds once."""
    one = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([content]))
    image = pa.StructArray.from_arrays([one.cast(pa.binary()), pa.nulls(count, pa.string())], ["bytes", "path"])
    pq.write_table(pa.table({"image": image, "label": [row % 2 for row in range(count)]}), path)
    return path


def test_a_value_that_is_stored_once_is_not_unpacked_a_thousand_times(tmp_path):
    content = png(1) + bytes(200_000)
    source = opened("parquet", repeated(tmp_path / "p.parquet", 1000, content))
    before = pa.total_allocated_bytes()
    most = 0
    for found in source.read(range(1000)):
        assert found == content
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 30 << 20


def test_rows_are_found_in_any_order_and_more_than_once(tmp_path):
    source = opened("parquet", hub(tmp_path / "data.parquet", count=50))
    order = [7, 7, 3, 49, 0, 4, 48, 5, 5, 6]
    assert list(source.read(order)) == [png(row) for row in order]


def test_a_bytes_column_of_integers_is_no_image(tmp_path):
    image = pa.array([{"bytes": 7}, {"bytes": 8}])
    pq.write_table(pa.table({"image": image, "label": ["a", "b"]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="no image column"):
        opened("parquet", tmp_path / "p.parquet")


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_damage_inside_names_the_file(tmp_path, compression):
    images = [{"bytes": png(row), "path": None} for row in range(40)]
    pq.write_table(
        pa.table({"image": images, "label": ["a", "b"] * 20}), tmp_path / "p.parquet", compression=compression
    )
    whole = (tmp_path / "p.parquet").read_bytes()
    for place in range(0, len(whole), 97):
        (tmp_path / "p.parquet").write_bytes(whole[:place] + b"\xff\xff\xff" + whole[place + 3 :])
        try:
            found = list(opened("parquet", tmp_path / "p.parquet").read(range(40)))
        except DataError as error:
            assert "p.parquet" in str(error)
            continue
        assert all(isinstance(content, bytes | Unusable) for content in found)

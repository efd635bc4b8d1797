"""Parquet files, as people and hubs write them."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opened_sources import opened
from pictures import png

from data.errors import DataError


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

"""Rows and protocol that are not those of the head: every command that uses them says so, in one line."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from usable import FOLDER, make_usable, write_small_protocol

from data.errors import DataError
from data.images.open_images import open_images
from heads.errors import HeadError
from pipeline.commands import export, search
from pipeline.demo.available_heads import AvailableHeads
from pipeline.demo.compare_tab import example_pair
from pipeline.demo.search_tab import found_html, offered_html

pytestmark = pytest.mark.forward


@pytest.fixture
def images(tmp_path, monkeypatch) -> list[bytes]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    return make_usable(dim=8)[0]


def edit_rows(column: str, values: list) -> None:
    table = pq.read_table(FOLDER / "rows.parquet")
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), FOLDER / "rows.parquet")


FAULTS = {
    "another seed's protocol": (lambda: write_small_protocol(seed=1), "under another protocol.json"),
    "other groups": (lambda: edit_rows("group", ["g"] * 11), "frozen for other rows"),
    "other groups, and a protocol of them": (
        lambda: (edit_rows("group", ["g"] * 11), write_small_protocol()),
        "under another protocol.json",
    ),
    "other images": (lambda: edit_rows("sha256", ["0" * 64] * 11), "on other images than rows.parquet holds"),
}
USES = {
    "search": lambda images: search.run(open_images([images[0]]), folder=FOLDER / "head", k=3),
    "export": lambda images: export.run(FOLDER / "head", Path("head.onnx")),
    "rows of the page": lambda images: AvailableHeads(Path("artifacts")).get("emoji").rows,
    "protocol of the page": lambda images: AvailableHeads(Path("artifacts")).get("emoji").protocol,
    "gallery of the page": lambda images: AvailableHeads(Path("artifacts")).get("emoji").gallery,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("fault", FAULTS)
def test_rows_and_protocol_of_another_head_are_one_line(images, fault, use):
    damage, message = FAULTS[fault]
    damage()
    with pytest.raises((DataError, HeadError), match=rf"{message}.*run `dvc repro (prepare|train)`"):
        USES[use](images)
    assert not Path("head.onnx").exists()


def test_the_page_shows_the_line(images):
    write_small_protocol(seed=1)
    heads = AvailableHeads(Path("artifacts"))
    for html in (offered_html, found_html):
        with pytest.raises(HeadError, match=r"under another protocol\.json"):
            html(heads, "emoji", *([""] if html is offered_html else [None, 0]))
    assert "under another protocol.json" in example_pair(heads, "emoji", True)[2]


def test_images_of_another_data_set_are_not_shown(images):
    shutil.copy(FOLDER / "images.parquet", "kept.parquet")
    table = pq.read_table(FOLDER / "images.parquet")
    pq.write_table(table.take(np.arange(11)[::-1]), FOLDER / "images.parquet")
    held = AvailableHeads(Path("artifacts")).get("emoji")
    with pytest.raises(DataError, match=r"images\.parquet: other images than rows\.parquet names; .*`dvc repro"):
        held.images(np.array([0, 1]))
    shutil.move("kept.parquet", FOLDER / "images.parquet")
    assert held.images(np.array([1, 0])) == [images[1], images[0]]

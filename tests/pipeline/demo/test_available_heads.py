"""Which heads the page finds, and when it reads one again."""

import os
import shutil
from pathlib import Path

import pytest
from usable import FOLDER, make_usable

from heads.errors import HeadError
from pipeline.demo.available_heads import KEPT, AvailableHeads

pytestmark = pytest.mark.forward


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))


def put(*names: str) -> None:
    for name in names:
        folder = Path("artifacts") / name / "head"
        folder.mkdir(parents=True)
        (folder / "head.json").write_text("{}")


def test_heads_are_found_the_chosen_one_first():
    put("cifar10", "mnist", "emoji")
    Path("artifacts/empty").mkdir()
    assert AvailableHeads(Path("artifacts"), "mnist").names() == ["mnist", "cifar10", "emoji"]
    assert AvailableHeads(Path("artifacts"), "no such").names() == ["cifar10", "emoji", "mnist"]
    assert AvailableHeads(Path("nowhere")).names() == []


def test_an_unknown_name_is_errors_as_message():
    with pytest.raises(HeadError, match=r"^no head for '../x' is there any more; choose another one$"):
        AvailableHeads(Path("artifacts")).get("../x")


def test_a_head_is_loaded_once_and_again_when_it_was_trained_again():
    put("emoji")
    loads = []
    heads = AvailableHeads(Path("artifacts"), load=lambda folder: loads.append(folder) or object())
    first = heads.get("emoji")
    assert heads.get("emoji") is first and loads == [Path("artifacts/emoji/head")]
    os.utime("artifacts/emoji/head/head.json", ns=(1, 1))
    assert heads.get("emoji") is not first and len(loads) == 2


def test_few_heads_stay_in_memory():
    names = [f"set{i}" for i in range(KEPT + 1)]
    put(*names)
    loads = []
    heads = AvailableHeads(Path("artifacts"), load=lambda folder: loads.append(folder.parent.name) or object())
    for name in (*names, names[-1], names[0]):
        heads.get(name)
    assert loads == [*names, names[0]]


def test_what_is_held_is_the_data_set_of_the_head():
    images, _ = make_usable()
    held = AvailableHeads(Path("artifacts")).get("emoji")
    assert len(held.gallery) == len(held.rows) == 11 and held.protocol.dataset == "emoji"
    assert held.images(held.protocol.pairs["test"].b) == [images[1], images[2]]
    shutil.move(FOLDER / "images.parquet", "elsewhere")
    assert len(held.images(held.protocol.pairs["test"].b)) == 2  # thumbnails

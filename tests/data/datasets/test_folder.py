"""Folders of class folders, of one's own."""

from pathlib import Path

import pytest
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError
from data.images.decode import Unusable
from data.settings import CATALOGUE_PATH


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


def test_no_path_is_said_with_what_to_type():
    for name in ("folder", "pairs", "parquet", "tll"):
        with pytest.raises(DataError, match=rf"data\.path: .* -S data\.name={name} -S data\.path="):
            opened(name, CATALOGUE_PATH)
    with pytest.raises(DataError, match="nowhere: there is no such folder or file"):
        opened("folder", Path("nowhere"))

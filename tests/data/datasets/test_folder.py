"""Folders of class folders, of one's own."""

from collections import Counter
from pathlib import Path

import pytest
from opened_sources import opened, write, zip_of
from pictures import png

from data.errors import DataError
from data.images.decode import Unusable
from data.settings import CATALOGUE_PATH


def lay_out(top: Path, *folders: str, each: int = 2) -> Path:
    return write(top, {f"{folder}/{index}.png": png(index) for folder in folders for index in range(each)})


def groups_of(source) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in source.items:
        found.setdefault(item.part, set()).add(item.group)
    return found


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
    assert {item.group for item in opened("folder", tmp_path / "f", "leaf").items} == {
        "cats",
        "black",
        "döner kebap",
        "dogs",
    }


AB = ("a", "b")
SPLITS = {
    "of PyTorch's tutorial": (("train/a", "train/b", "val/a", "val/b"), {"train": AB, "val": AB}),
    "in other words": (("Training/a", "Training/b", "Testing/a", "Testing/b"), {"train": AB, "test": AB}),
    "of a wrapped zip": (
        ("archive/train/a", "archive/train/b", "archive/valid/a", "archive/test/b"),
        {"train": AB, "val": ("a",), "test": ("b",)},
    ),
    "named twice": (
        ("training_set/training_set/a", "training_set/training_set/b", "test_set/test_set/a"),
        {"train": AB, "test": ("a",)},
    ),
    "in a series, another folder beside": (
        ("seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a", "seg_pred/seg_pred"),
        {"train": AB, "test": ("a",)},
    ),
    "inside the classes": (("a/train", "a/test", "b/train", "b/test"), {"train": AB, "test": AB}),
    "with nested classes": (("train/b/c", "train/a", "dev/b/c"), {"train": ("b/c", "a"), "val": ("b/c",)}),
    "below the same folder": (
        ("train/images/a", "train/images/b", "eval/images/a"),
        {"train": AB, "test": ("a",)},
    ),
    "an unlabelled test in the same folder": (
        ("GTSRB/Final_Training/Images/a", "GTSRB/Final_Training/Images/b", "GTSRB/Final_Test/Images"),
        {"train": AB},
    ),
    "an unlabelled test in a folder without a name": (("train/a", "train/b", "test/unknown"), {"train": AB}),
    "an unlabelled test named twice": (("train/a", "train/b", "test/test"), {"train": AB}),
    "train alone": (("train/a", "train/b"), {"train": AB}),
    "two of one split": (("train_1/a", "train_2/b", "test/a"), {"train": AB, "test": ("a",)}),
}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_splits_are_known_in_their_usual_names_and_places(tmp_path, name, packed):
    folders, wanted = SPLITS[name]
    top = lay_out(tmp_path / "data", *folders)
    write(top, {"__MACOSX/train/._0.png": b"x", "README.dataset.txt": b"x", "train/a/.DS_Store": b"x"})
    source = opened("folder", zip_of(top) if packed else top)
    assert groups_of(source) == {part: set(groups) for part, groups in wanted.items()}


def test_what_the_splits_lack_and_what_lies_beside_them_is_noted(tmp_path):
    lay_out(tmp_path, "train/a", "train/b", "val/a", "val/c", "samples")
    write(tmp_path, {"labels.csv": b"x", "val/a/0.xml": b"x"})
    notes = "\n".join(opened("folder", tmp_path).notes)
    for said in (
        "are kept: train 4, val 4 images",
        "2 images of samples",
        "2 files that are no images",
        "test is drawn from train",
    ):
        assert said in notes
    assert "1 classes of val are not in train (c)" in notes
    assert "1 classes of train have no images in val (b)" in notes


def test_lists_of_splits_that_are_not_read_are_noted(tmp_path):
    lay_out(tmp_path, "images/a", "images/b")
    write(tmp_path, {"meta/train.txt": b"a/0", "meta/test.txt": b"a/1"})
    notes = "\n".join(opened("folder", tmp_path).notes)
    assert "meta/test.txt, meta/train.txt may list splits" in notes


def test_a_test_split_without_classes_is_left_out_and_counted(tmp_path):
    source = opened("folder", lay_out(tmp_path, "train/a", "train/b", "test1"))
    assert groups_of(source) == {"train": {"a", "b"}}
    assert any("2 images of test1 lie in no class folder" in note for note in source.notes)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("train", "test"), "test, train are named like splits and hold no class folders"),
        (("train/steam", "bus/city", "car"), "train looks like a split, and bus, car beside it does not"),
        (("test/a", "test/b"), "holds test and no train split"),
        (("a/train", "a/test", "b/other"), "look like splits inside the classes, and there are images in b/other"),
        (("x/y/train/a", "x/z/test/a", "w/a"), "look like splits, and do not lie above the classes"),
        (("train/pets/a", "train/pets/b", "test/a"), "pets/a of train and a of test would be two classes"),
        (("amazon/mug", "amazon/pen", "dslr/mug", "dslr/pen"), r"same class names \(mug, pen\) come in each of amazon"),
        (("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"), "data.group=leaf takes cat for one class"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_an_error_with_a_remedy(tmp_path, folders, said):
    lay_out(tmp_path, *folders)
    with pytest.raises(DataError, match=said):
        opened("folder", tmp_path)
    assert len({item.group for item in opened("folder", tmp_path, "path").items}) == len(folders)


def test_the_remedies_for_equal_class_names_do_what_they_say(tmp_path):
    lay_out(tmp_path, "amazon/mug", "amazon/pen", "dslr/mug", "dslr/pen")
    assert groups_of(opened("folder", tmp_path, "leaf")) == {"": {"mug", "pen"}}
    assert groups_of(opened("folder", tmp_path, "top")) == {"": {"amazon", "dslr"}}


@pytest.mark.parametrize("folders", [("train", "bus"), ("train_station", "test_tube"), ("cats/black", "dogs/black")])
def test_classes_may_have_names_like_splits(tmp_path, folders):
    assert groups_of(opened("folder", lay_out(tmp_path, *folders))) == {"": set(folders)}


def test_an_image_in_no_class_folder_is_listed_with_its_reason(tmp_path):
    write(tmp_path, {"a/1.png": png(1), "b/1.png": png(3), "loose.png": png(2)})
    source = opened("folder", tmp_path)
    answers = {item.id: answer for item, answer in zip(source.items, source.read(range(3)), strict=True)}
    assert answers["a/1.png"] == png(1)
    assert isinstance(answers["loose.png"], Unusable)
    assert answers["loose.png"].reason == "classless"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it is empty"),
        ({"1.png": b"", "2.png": b""}, "put the images of each class into a folder of its own"),
        ({"1.png": b"", "labels.csv": b""}, "data.name=table"),
        ({"a/train-00000-of-00001.parquet": b""}, "data.name=parquet"),
        ({"images.zip": b""}, "unpack them, or name one .zip itself"),
        ({"images/train/1.jpg": b"", "labels/train/1.txt": b""}, "class"),
        ({"cats/1.png": b"", "cats/2.png": b""}, r"only one class folder \(cats\)"),
    ],
)
def test_a_folder_without_classes_is_an_error_with_a_remedy(tmp_path, files, said):
    with pytest.raises(DataError, match=said):
        opened("folder", write(tmp_path, files))


def test_no_path_is_an_error_with_what_to_type():
    for name in ("folder", "pairs", "parquet", "tll"):
        with pytest.raises(DataError, match=rf"data\.path: .* -S data\.name={name} -S data\.path="):
            opened(name, CATALOGUE_PATH)
    with pytest.raises(DataError, match="nowhere: there is no such folder or file"):
        opened("folder", Path("nowhere"))


def test_only_names_that_say_so_are_no_images(tmp_path):
    write(tmp_path, {f"{group}/{name}": b"" for group in "ab" for name in ("1.JPG", "2", "3.heic", "4.HTML", "5.TXT")})
    source = opened("folder", tmp_path)
    assert Counter(item.group for item in source.items) == {"a": 4, "b": 4}

"""Omniglot and Tiny ImageNet, on small archives in the published layouts."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from opened_sources import opened, pictures_of
from pictures import png
from PIL import Image

from data.catalogue import CATALOGUE
from data.errors import DataError


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def one_bit(seed: int) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 2, (105, 105)) > 0).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def omniglot(tmp_path):
    found = {}
    for number, part in enumerate(("background", "evaluation")):
        members = {
            f"images_{part}/{part[:4]}{alphabet}/character{char:02d}/{alphabet}_{char}_{index}.png": one_bit(
                1000 * number + 100 * alphabet + 10 * char + index
            )
            for alphabet in range(3)
            for char in range(2)
            for index in range(4)
        }
        found[f"images_{part}.zip"] = zipped(tmp_path / f"images_{part}.zip", members)
    return found


def test_omniglot(omniglot):
    source = opened("omniglot", omniglot)
    assert Counter((item.group, item.part) for item in source.items)["back1", "train"] == 8
    assert source.items[0].id == "background/back0/character00/0_0_0.png"
    assert len(pictures_of(source)) == 48
    source = opened("omniglot", omniglot, "character")
    assert source.items[-1].group == "eval2/character01"
    assert source.items[-1].family == "eval2"
    assert source.group_level == "character"


def test_omniglot_in_another_layout_is_said(omniglot, tmp_path):
    omniglot["images_evaluation.zip"] = zipped(tmp_path / "other.zip", {"a/b.png": b""})
    with pytest.raises(DataError, match=r"a/b\.png is not <set>/<alphabet>/<character>/<drawing>\.png"):
        opened("omniglot", omniglot)


def tiny(path: Path, **changes) -> Path:
    top = "tiny-imagenet-200"
    members = {
        f"{top}/wnids.txt": b"n03\nn01\nn02\n",
        f"{top}/train/n01/images/n01_0.JPEG": png(1),
        f"{top}/train/n02/images/n02_0.JPEG": png(2),
        f"{top}/train/n02/n02_boxes.txt": b"",
        f"{top}/test/images/test_0.JPEG": png(9),
        f"{top}/val/images/val_0.JPEG": png(3),
        f"{top}/val/images/val_1.JPEG": png(4),
        f"{top}/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t1\t1\nval_1.JPEG\tn03\t0\t0\t1\t1\n",
    }
    return zipped(path, {**members, **{f"{top}/{name}": value for name, value in changes.items()}})


def test_tiny_imagenet(tmp_path):
    archive = tiny(tmp_path / "t.zip")
    source = opened("tiny_imagenet", {"tiny-imagenet-200.zip": archive})
    assert [(item.id, item.group, item.part) for item in source.items] == [
        ("train/n01/n01_0.JPEG", "n01", "train"),
        ("train/n02/n02_0.JPEG", "n02", "train"),
        ("val/val_0.JPEG", "n02", "test"),
        ("val/val_1.JPEG", "n03", "test"),
    ]
    assert len(pictures_of(source)) == 4
    entry = CATALOGUE["tiny_imagenet"]
    assert (entry.seen, entry.groups) == (50, 100)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wnids.txt": b"n01"}, "names the class n02, which is not in wnids.txt"),
        (
            {"val/val_annotations.txt": b"val_7.JPEG\tn01\t0\t0\t1\t1"},
            "not there: tiny-imagenet-200/val/images/val_7.JPEG",
        ),
    ],
)
def test_tiny_imagenet_that_contradicts_itself_is_said(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        opened("tiny_imagenet", {"tiny-imagenet-200.zip": tiny(tmp_path / "t.zip", **changes)})


def test_tiny_imagenet_of_another_layout_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no wnids\.txt inside; not in the published layout"):
        opened("tiny_imagenet", {"tiny-imagenet-200.zip": zipped(tmp_path / "t.zip", {"a": b""})})

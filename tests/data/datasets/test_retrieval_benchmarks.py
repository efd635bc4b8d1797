"""CUB, Cars, Stanford Online Products and In-Shop, on small archives in the published layouts."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from built import prepare
from opened_sources import opened, write, zip_of
from pictures import png
from scipy.io import savemat

from data.catalogue import CATALOGUE
from data.errors import DataError
from data.tables.rows import read_rows


def packed(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def cub(top: Path, classes: int = 200) -> Path:
    birds = [f"{label:03d}.Bird_{label}/Bird_{label}_{i}.jpg" for label in range(1, classes + 1) for i in range(2)]
    lists = {
        "images.txt": "".join(f"{number} {name}\n" for number, name in enumerate(birds, start=1)),
        "image_class_labels.txt": "".join(f"{number} {int(name[:3])}\n" for number, name in enumerate(birds, start=1)),
        "classes.txt": "1 001.Bird_1\n",
        "train_test_split.txt": "1 0\n",
    }
    write(top / "CUB_200_2011", {f"images/{name}": png(number) for number, name in enumerate(birds)})
    return write(top / "CUB_200_2011", {name: text.encode() for name, text in lists.items()})


def cars(top: Path) -> Path:
    entries = [(f"car_ims/{number:06d}.jpg", (number - 1) // 2 + 1) for number in range(1, 393)]
    fields = [(name, object) for name in ("relative_im_path", "bbox_x1", "class", "test")]
    annotations = np.array([[(name, 1, label, 0) for name, label in entries]], dtype=fields)
    names = np.array([[f"Car {label}" for label in range(1, 197)]], dtype=object)
    write(top / "c" / "car_ims", {name.split("/")[1]: png(number) for number, (name, _) in enumerate(entries)})
    savemat(top / "c" / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    return top / "c"


def products(top: Path) -> Path:
    folder = top / "Stanford_Online_Products"
    for part, first in (("train", 1), ("test", 5)):
        lines = ["image_id class_id super_class_id path"]
        for product in range(first, first + 4):
            for i in range(3):
                name = f"chair_final/{100 + product}_{i}.JPG"
                lines.append(f"{len(lines)} {product} 1 {name}")
                write(folder, {name: png(10 * product + i)})
        write(folder, {f"Ebay_{part}.txt": "\n".join(lines).encode()})
    return folder


def in_shop(top: Path, groups: int = 12) -> Path:
    rows, images = [], {}
    for group in range(groups):
        for i, status in enumerate(("train",) * 4 if group < groups // 2 else ("query", "gallery", "gallery", "query")):
            name = f"img/WOMEN/Dresses/id_{group:08d}/0{i}_1_front.jpg"
            images[name] = png(10 * group + i)
            rows.append(f"{name} id_{group:08d} {status}")
    text = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows])
    write(top / "In-shop", images)
    return write(top / "In-shop", {"Eval/list_eval_partition.txt": text.encode()})


def test_cub_trains_on_the_first_hundred_classes(tmp_path):
    folder = cub(tmp_path)
    sources = [opened("cub", folder), opened("cub", tmp_path), opened("cub", {"x": packed(folder, tmp_path / "c.tgz")})]
    for source in sources:
        assert {item.part: item.group for item in reversed(source.items)} == {
            "train": "001.Bird_1",
            "test": "101.Bird_101",
        }
        assert Counter(item.part for item in source.items) == {"train": 200, "test": 200}
        assert list(source.read([399, 0])) == [png(399), png(0)]


def test_cars_train_on_the_first_98_classes(tmp_path):
    folder = cars(tmp_path)
    archives = {"annos": folder / "cars_annos.mat", "images": packed(folder / "car_ims", tmp_path / "car_ims.tgz")}
    for source in (opened("cars", folder), opened("cars", archives)):
        groups = {part: {item.group for item in source.items if item.part == part} for part in ("train", "test")}
        assert groups["train"] == {f"Car {label}" for label in range(1, 99)}
        assert groups["test"] == {f"Car {label}" for label in range(99, 197)}
        assert list(source.read([5])) == [png(5)]


def test_online_products_keep_their_lists(tmp_path):
    folder = products(tmp_path)
    for where in (folder, {"x": zip_of(folder)}):
        source = opened("online_products", where)
        assert {(item.group, item.part) for item in source.items} == {
            (str(product), "train" if product < 5 else "test") for product in range(1, 9)
        }


def test_in_shop_searches_queries_in_the_gallery(tmp_path):
    source = opened("in_shop", in_shop(tmp_path))
    protocol = prepare(source, tmp_path / "out", split_by=CATALOGUE["in_shop"].split_by)
    rows = read_rows(tmp_path / "out" / "rows.parquet")
    assert set(rows.role[rows.split == "train"]) == {""}
    queries, gallery = rows.queries_and_gallery(rows.where(split="test"))
    assert len(queries) == len(gallery) == 12
    assert set(protocol.candidates.query) == set(queries)
    assert set(protocol.candidates.candidates.ravel()) <= set(gallery)
    assert set(protocol.pairs) == {"val", "test_unseen"}
    assert set(rows.group[rows.split == "test"]) == {f"id_{group:08d}" for group in range(6, 12)}


@pytest.mark.parametrize("name", ["cub", "cars", "online_products", "in_shop"])
def test_another_layout_is_an_error(tmp_path, name):
    with pytest.raises(DataError, match=r"no \w+\.\w+ inside; not in the published layout"):
        opened(name, write(tmp_path, {"a/1.jpg": b""}))


def test_damaged_lists_are_an_error(tmp_path):
    folder = cub(tmp_path, 4)
    (folder / "images" / "001.Bird_1" / "Bird_1_0.jpg").unlink()
    with pytest.raises(DataError, match=r"not there: images/001\.Bird_1/Bird_1_0\.jpg"):
        opened("cub", folder)
    write(folder, {"image_class_labels.txt": b"1 1 1\n"})
    with pytest.raises(DataError, match="line 1 has 3 words, not 2"):
        opened("cub", folder)
    write(tmp_path / "cars", {"cars_annos.mat": b"no"})
    with pytest.raises(DataError, match=r"cars_annos\.mat: not in the published layout"):
        opened("cars", tmp_path / "cars")


def test_a_damaged_tar_is_an_error(tmp_path):
    path = packed(cub(tmp_path, 4), tmp_path / "c.tgz")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="not a whole tar archive"):
        opened("cub", {"x": path})
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../x"), io.BytesIO())
    with pytest.raises(DataError, match="outside"):
        opened("cub", {"x": path})

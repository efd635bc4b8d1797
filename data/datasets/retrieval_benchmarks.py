"""The benchmarks of metric learning, in their published layouts and with their class-disjoint splits.

CUB-200-2011 (Wah et al., 2011) and Cars-196 (Krause et al., 2013): the first half of the classes trains, the second is
tested. Stanford Online Products (Oh Song et al., CVPR 2016): its own lists. In-Shop Clothes Retrieval (Liu et al.,
DeepFashion, CVPR 2016): its own lists, with queries and a gallery. Protocol: Musgrave, Belongie, Lim, A Metric Learning
Reality Check (ECCV 2020).
"""

import io
from collections.abc import Sequence
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from data.datasets.published import Published
from data.datasets.source import Item, Source
from data.errors import DataError

CUB_CLASSES, CARS_CLASSES = 200, 196


def cub(paths: Sequence[Path]) -> Source:
    """`CUB_200_2011/` with images.txt, image_class_labels.txt and images/."""
    found = Published(paths)
    images = dict(found.words("images.txt", 2))
    files = []
    for number, label in found.words("image_class_labels.txt", 2):
        name = images.get(number)
        if name is None:
            raise DataError(f"{found.where}: image_class_labels.txt names image {number}, and images.txt does not")
        part = "train" if found.number("image_class_labels.txt", label) <= CUB_CLASSES // 2 else "test"
        files.append((Item(id=name, group=name.split("/")[0], part=part), f"images/{name}"))
    return found.source(files, "class")


def cars(paths: Sequence[Path]) -> Source:
    """cars_annos.mat and `car_ims/` (or car_ims.tgz), as published for both of its splits together."""
    found = Published(paths)
    try:
        raw = loadmat(io.BytesIO(found.read("cars_annos.mat")), squeeze_me=True)
        names = [str(name) for name in raw["class_names"]]
        entries = [(str(one["relative_im_path"]), int(one["class"])) for one in raw["annotations"]]
        files = [
            (
                Item(id=name, group=names[label - 1], part="train" if label <= CARS_CLASSES // 2 else "test"),
                f"car_ims/{name.rsplit('/', 1)[-1]}",
            )
            for name, label in entries
        ]
    except (KeyError, ValueError, IndexError, TypeError, MatReadError) as error:
        raise DataError(f"{found.where}: cars_annos.mat: not in the published layout ({error})") from None
    return found.source(files, "class")


def online_products(paths: Sequence[Path]) -> Source:
    """`Stanford_Online_Products/` with Ebay_train.txt, Ebay_test.txt and the images that they list."""
    found = Published(paths)
    files = [
        (Item(id=name, group=product, part=part), name)
        for part in ("train", "test")
        for _, product, _, name in found.words(f"Ebay_{part}.txt", 4, skip=1)
    ]
    return found.source(files, "product")


def in_shop(paths: Sequence[Path]) -> Source:
    """list_eval_partition.txt and `img/` (or img.zip). Queries are searched in the gallery, not among themselves."""
    found = Published(paths)
    kinds = {"train": ("train", ""), "query": ("test", "left"), "gallery": ("test", "right")}
    files = []
    for name, product, status in found.words("list_eval_partition.txt", 3, skip=2):
        if status not in kinds:
            raise DataError(
                f"{found.where}: list_eval_partition.txt: {name} is '{status}', not train, query or gallery"
            )
        part, role = kinds[status]
        files.append((Item(id=name, group=product, part=part, role=role), name))
    return found.source(files, "product")

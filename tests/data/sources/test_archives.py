"""Readers of published archives, on small ones made in the published layouts."""

import gzip
import io
import os
import pickle
import struct
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from data.catalogue import CATALOGUE, Place
from data.decode import decode
from data.errors import DataError
from data.sources.arrays import png as png_of
from data.sources.cifar import _load
from data.sources.idx import read_idx
from pictures import png

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 10


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes())


def opened(name: str, archives: dict[str, Path], level: str | None = None):
    entry = CATALOGUE[name]
    return entry.open(Place(archives=archives, path=Path("pictures"), level=level or entry.levels[0]))


def pictures_of(source) -> list[np.ndarray]:
    return [np.asarray(decode(content)) for content in source.read(range(len(source.items)))]


@pytest.fixture
def mnist(tmp_path):
    cut = {"train": slice(0, 30), "t10k": slice(30, 40)}
    for part, where in cut.items():
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(PIXELS[where]))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(LABELS[where]))
    return {path.name: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx(mnist, name):
    source = opened(name, mnist)
    assert Counter(item.part for item in source.items) == {"train": 30, "test": 10}
    assert (source.items[31].id, source.items[31].part) == ("test/00001", "test")
    assert source.items[1].group == ("1" if name == "mnist" else "trouser")
    back = pictures_of(source)
    np.testing.assert_array_equal(np.stack(back)[..., 0], PIXELS)
    assert list(source.read([39, 0])) == [*source.read([39]), *source.read([0])]


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3), (1, 9), (9, 1), (5, 7, 3)])
def test_png_is_what_pillow_reads(shape):
    for pixels in (RNG.integers(0, 256, shape, dtype=np.uint8), np.zeros(shape, np.uint8)):
        image = Image.open(BytesIO(png_of(pixels)))
        image.verify()
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png_of(pixels)))), pixels)
        turned = pixels.swapaxes(0, 1)  # not contiguous
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png_of(turned)))), turned)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no gzip", "not a whole gzip file"),
        (idx(PIXELS)[:-100], "not a whole gzip file"),
        (gzip.compress(b"\0\0\x0d\3" + bytes(12)), "not an idx file of unsigned bytes"),
        (gzip.compress(b""), "not an idx file of unsigned bytes"),
        (gzip.compress(gzip.decompress(idx(PIXELS)) + b"x"), "31361 bytes, its header says 40x28x28"),
    ],
)
def test_broken_idx_is_said(tmp_path, content, said):
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.gz: {said}"):
        read_idx(tmp_path / "x.gz")


def test_idx_files_that_do_not_fit_are_said(mnist):
    mnist["t10k-labels-idx1-ubyte.gz"].write_bytes(idx(LABELS[:9]))
    with pytest.raises(DataError, match=r"\(10, 28, 28\) images do not fit \(9,\) labels"):
        opened("mnist", mnist)
    mnist["t10k-labels-idx1-ubyte.gz"].write_bytes(idx(LABELS[:10] + 5))
    with pytest.raises(DataError, match="label 14, there are 10 classes"):
        opened("mnist", mnist)


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def batch(start: int, count: int, **labels) -> bytes:
    data = np.random.default_rng(start).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pickle.dumps({b"data": data, b"batch_label": b"x", **labels}, protocol=2)


@pytest.fixture
def cifar(tmp_path):
    hundred = [f"fine{index:02d}" for index in range(100)]
    meta = {b"fine_label_names": [name.encode() for name in hundred], b"coarse_label_names": [b"c0", b"c1"]}
    fine = {b"fine_labels": list(range(6)), b"coarse_labels": [0, 0, 0, 1, 1, 1]}
    return tar(
        tmp_path / "cifar-100-python.tar.gz",
        {
            "cifar-100-python/meta": pickle.dumps(meta, protocol=2),
            "cifar-100-python/file.txt~": b"",
            "cifar-100-python/train": pickle.dumps({**pickle.loads(batch(1, 6)), **fine}, protocol=2),
            "cifar-100-python/test": pickle.dumps({**pickle.loads(batch(2, 6)), **fine}, protocol=2),
        },
    )


def test_cifar100(cifar):
    source = opened("cifar100", {cifar.name: cifar})
    assert [item.group for item in source.items[:3]] == ["fine00", "fine01", "fine02"]
    assert Counter(item.part for item in source.items) == {"train": 6, "test": 6}
    flat = np.random.default_rng(1).integers(0, 256, (6, 3072), dtype=np.uint8)
    np.testing.assert_array_equal(pictures_of(source)[4], flat[4].reshape(3, 32, 32).transpose(1, 2, 0))
    coarse = opened("cifar100", {cifar.name: cifar}, "superclass")
    assert [item.group for item in coarse.items[:6]] == ["c0"] * 3 + ["c1"] * 3


@pytest.mark.parametrize("protocol", range(2, 6))
def test_cifar_pickles_of_any_age(protocol):
    batch = {b"data": np.arange(12, dtype=np.uint8).reshape(2, 6), b"labels": [np.int64(1), 0], "batch_label": "x"}
    back = _load(pickle.dumps(batch, protocol=protocol))
    np.testing.assert_array_equal(back["data"], batch[b"data"])
    assert back["labels"] == [1, 0]
    assert back["batch_label"] == "x"


def test_cifar10(tmp_path):
    members = {"cifar-10-batches-py/batches.meta": pickle.dumps({b"label_names": [b"plane", b"car"]}, protocol=2)}
    for index in range(1, 6):
        raw = {**pickle.loads(batch(index, 4)), b"labels": [0, 1, 0, 1]}
        members[f"cifar-10-batches-py/data_batch_{index}"] = pickle.dumps(raw, protocol=2)
    members["cifar-10-batches-py/test_batch"] = members["cifar-10-batches-py/data_batch_3"]
    archive = tar(tmp_path / "cifar-10-python.tar.gz", members)
    source = opened("cifar10", {archive.name: archive})
    assert Counter(item.part for item in source.items) == {"train": 20, "test": 4}
    assert source.items[5].group == "car"
    np.testing.assert_array_equal(pictures_of(source)[20], pictures_of(source)[8])


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {f"cifar-100-python/{name}": pickle.dumps(Evil(), protocol=2) for name in ("meta", "train", "test")}
    archive = tar(tmp_path / "c.tar.gz", members)
    with pytest.raises(
        DataError, match=r"not in the published layout \(UnpicklingError: its pickle asks for posix\.mkdir"
    ):
        opened("cifar100", {"cifar-100-python.tar.gz": archive})
    assert not (tmp_path / "evil").exists()


def test_broken_tars_are_said(tmp_path, cifar):
    short = tmp_path / "short.tar.gz"
    short.write_bytes(cifar.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"short\.tar\.gz: not a whole tar\.gz archive"):
        opened("cifar100", {"cifar-100-python.tar.gz": short})
    with pytest.raises(DataError, match="no cifar-100-python/meta inside"):
        opened("cifar100", {"cifar-100-python.tar.gz": tar(short, {"x": b""})})
    with pytest.raises(DataError, match=r"holds \.\./x, which lies outside it"):
        opened("cifar100", {"cifar-100-python.tar.gz": tar(short, {"../x": b""})})
    with tarfile.open(short, "w:gz") as archive:
        info = tarfile.TarInfo("cifar-100-python/meta")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="holds a link"):
        opened("cifar100", {"cifar-100-python.tar.gz": short})


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
    with pytest.raises(DataError, match=r"other\.zip: a/b\.png is not <set>/<alphabet>/<character>/<drawing>\.png"):
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
            {"val/val_annotations.txt": b"val_7.JPEG\tn01\t"},
            "names tiny-imagenet-200/val/images/val_7.JPEG, which is not",
        ),
    ],
)
def test_tiny_imagenet_that_contradicts_itself_is_said(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        opened("tiny_imagenet", {"tiny-imagenet-200.zip": tiny(tmp_path / "t.zip", **changes)})


def test_tiny_imagenet_of_another_layout_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no tiny-imagenet-200/wnids\.txt inside; not in the published layout"):
        opened("tiny_imagenet", {"tiny-imagenet-200.zip": zipped(tmp_path / "t.zip", {"a": b""})})

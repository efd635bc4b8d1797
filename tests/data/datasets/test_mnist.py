"""MNIST and Fashion-MNIST, on small archives in their format."""

import gzip
import struct
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from opened_sources import opened, pictures_of
from PIL import Image

from data.datasets.arrays import png as png_of
from data.datasets.mnist import read_idx
from data.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = np.arange(40, dtype=np.uint8) % 10


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


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
        (gzip.compress(b"\0\0\x0d\3" + bytes(12), mtime=0), "not an idx file of unsigned bytes"),
        (gzip.compress(b"", mtime=0), "not an idx file of unsigned bytes"),
        (gzip.compress(gzip.decompress(idx(PIXELS)) + b"x", mtime=0), "31361 bytes, its header says 40x28x28"),
    ],
    ids=["no gzip", "cut off", "other numbers", "empty", "a byte too many"],
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


def test_a_gzip_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, peak_memory):
    bomb = gzip.compress(bytes(1 << 20)) * 400
    (tmp_path / "x.gz").write_bytes(bomb)
    with peak_memory() as used, pytest.raises(DataError, match=r"x\.gz: unpacks to more than"):
        read_idx(tmp_path / "x.gz")
    assert used() < 300 << 20


def test_images_without_pixels_are_said(mnist):
    mnist["train-images-idx3-ubyte.gz"].write_bytes(idx(PIXELS[:30, :0]))
    with pytest.raises(DataError, match="do not fit"):
        opened("mnist", mnist)

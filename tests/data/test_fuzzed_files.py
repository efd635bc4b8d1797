"""The door where data sets of strangers come in: mutated files are read, rejected by reason, or one line.

200 mutations of each kind of file, the same in every run. `FIXED` are those that other tests name by what is wrong.
"""

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mutations import fuzzed
from opened_sources import opened
from pictures import encoded, picture, png

from data.errors import DataError, Unusable
from data.images.decode import decode

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def zipped(method: int) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        for group in "ab":
            for number in range(3):
                archive.writestr(f"{group}/{number}.png", png(number + 10 * (group == "b")))
    return file.getvalue()


def parquet(compression: str) -> bytes:
    file = io.BytesIO()
    images = [{"bytes": png(row), "path": None} for row in range(8)]
    pq.write_table(pa.table({"image": images, "label": ["a", "b"] * 4}), file, compression=compression)
    return file.getvalue()


def table(text: str, suffix: str) -> Callable[[Path, bytes], tuple[str, Path]]:
    def place(folder: Path, content: bytes) -> tuple[str, Path]:
        for number in range(4):
            (folder / f"{number}.png").write_bytes(png(number))
        (folder / f"list{suffix}").write_bytes(content)
        return text, folder

    return place


def one_file(name: str, file: str) -> Callable[[Path, bytes], tuple[str, Path]]:
    def place(folder: Path, content: bytes) -> tuple[str, Path]:
        (folder / file).write_bytes(content)
        return name, folder / file

    return place


def cifar_batch() -> bytes:
    batch = {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1], "coarse_labels": [0, np.int64(0)]}
    return pickle.dumps(batch, protocol=2)


def cifar(content: bytes) -> bytes:
    meta = {"fine_label_names": ["a", "b"], "coarse_label_names": ["c"]}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, body in (("meta", pickle.dumps(meta)), ("train", content), ("test", cifar_batch())):
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def cifar_tar(folder: Path, content: bytes) -> tuple[str, dict[str, Path]]:
    path = folder / "cifar-100-python.tar.gz"
    path.write_bytes(gzip.compress(content, 1))
    return "cifar100", {path.name: path}


def cifar_pickle(folder: Path, content: bytes) -> tuple[str, dict[str, Path]]:
    return cifar_tar(folder, cifar(content))


def idx(folder: Path, content: bytes) -> tuple[str, dict[str, Path]]:
    labels = struct.pack(">4sI", b"\0\0\x08\1", 4) + bytes(4)
    images = struct.pack(">4s3I", b"\0\0\x08\3", 4, 28, 28) + bytes(4 * 784)
    files = {f"{part}-{kind}-ubyte.gz": body for part in ("train", "t10k") for kind, body in IDX.items()}
    files["train-images-idx3-ubyte.gz"] = content
    assert len(images) == 3152 and len(labels) == 12
    for name, body in files.items():
        (folder / name).write_bytes(gzip.compress(body, 1))
    return "mnist", {name: folder / name for name in files}


IDX = {
    "images-idx3": struct.pack(">4s3I", b"\0\0\x08\3", 4, 28, 28) + bytes(4 * 784),
    "labels-idx1": struct.pack(">4sI", b"\0\0\x08\1", 4) + bytes(4),
}
CSV = b"left,right,label\n0.png,1.png,1\n2.png,3.png,1\n0.png,3.png,0\n"
LIST = b"image,label,split\n0.png,a,train\n1.png,b,train\n2.png,a,test\n3.png,b,test\n"

DOORS = {
    "zip, stored": (zipped(ZIP_STORED), one_file("folder", "own.zip")),
    "zip, deflate": (zipped(ZIP_DEFLATED), one_file("folder", "own.zip")),
    "zip, bzip2": (zipped(ZIP_BZIP2), one_file("folder", "own.zip")),
    "zip, lzma": (zipped(ZIP_LZMA), one_file("folder", "own.zip")),
    "parquet, snappy": (parquet("snappy"), one_file("parquet", "own.parquet")),
    "parquet, zstd": (parquet("zstd"), one_file("parquet", "own.parquet")),
    "parquet, plain": (parquet("none"), one_file("parquet", "own.parquet")),
    "pairs": (CSV, table("pairs", ".csv")),
    "table": (LIST, table("table", ".csv")),
    "tar": (cifar(cifar_batch()), cifar_tar),
    "pickle": (cifar_batch(), cifar_pickle),
    "idx": (IDX["images-idx3"], idx),
}


@pytest.mark.parametrize("name", DOORS)
def test_fuzzed_data_sets_are_read_or_one_line(name, tmp_path):
    whole, place = DOORS[name]
    done = {"read": 0, "refused": 0}

    @fuzzed(whole)
    def check(content: bytes) -> None:
        try:
            source = opened(*place(tmp_path, content))
            found = list(source.read(range(len(source.items))))
        except DataError as error:
            done["refused"] += 1
            assert "\n" not in str(error)
            assert any(word in str(error) for word in (tmp_path.name, "own", "list", "data"))
            return
        done["read"] += 1
        assert all(isinstance(content, bytes | Unusable) for content in found)

    check()
    assert done["read"] + done["refused"] >= 200, done


FORMS = {
    "JPEG": {},
    "progressive": {"form": "JPEG", "progressive": True},
    "PNG": {},
    "GIF": {},
    "WEBP": {},
    "lossless": {"form": "WEBP", "lossless": True},
    "BMP": {},
    "TIFF": {},
    "LZW": {"form": "TIFF", "compression": "tiff_lzw"},
    "PPM": {},
    "AVIF": {"speed": 10},
}


@pytest.mark.parametrize("name", FORMS)
def test_fuzzed_images_are_read_or_rejected(name):
    options = dict(FORMS[name])
    whole = encoded(picture(size=(40, 30)), options.pop("form", name), **options)

    @fuzzed(whole)
    def check(content: bytes) -> None:
        try:
            assert decode(content).mode == "RGB"
        except Unusable as why:
            assert why.reason

    check()

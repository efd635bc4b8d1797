"""Archives and parquet files that lie, lead outside, or are damaged: 54 of them, each one line or rejected by reason.

`pytest -m slow tests/data/test_hostile_archives.py`; mutations of whole files are in test_fuzzed_files.py.
"""

import gzip
import io
import pickle
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opened_sources import opened
from pictures import png

from data.errors import DataError, Unusable

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MEGABYTES = 300
Where = Path | dict[str, Path]


def zipped(*members: tuple[str | ZipInfo, bytes], method: int = ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        for name, content in (("a/1.png", png(1)), ("b/1.png", png(2)), *members):
            archive.writestr(name, content)
    return file.getvalue()


def link(target: str) -> tuple[ZipInfo, bytes]:
    info = ZipInfo("a/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def lying(declared: int, method: int = ZIP_DEFLATED) -> bytes:
    size = 50_000_000
    whole = zipped(("a/2.png", bytes(size)), method=method)
    return whole.replace(size.to_bytes(4, "little"), declared.to_bytes(4, "little"))


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


ZIPS: dict[str, Callable[[], bytes]] = {
    **{
        f"a member {name}": (lambda name=name: zipped((name, b"x")))
        for name in (
            "../evil.png",
            "/etc/evil.png",
            "a/../../evil.png",
            "..\\evil.png",
            "C:/evil.png",
            "a/..",
            "//host/evil.png",
        )
    },
    "a link to a file": lambda: zipped(link("/etc/passwd")),
    "a link to a folder": lambda: zipped(link("..")),
    "two members of one name": lambda: zipped(("a/1.png", b"other")),
    "two members of one name, written otherwise": lambda: zipped(("./a//1.png", b"other")),
    "a member without a name": lambda: patched(zipped(("QQQ", b"y")), b"QQQ", b"\0QQ"),
    "50 MB declared as nothing": lambda: lying(0),
    "50 MB declared as 100 bytes, deflate": lambda: lying(100),
    "50 MB declared as 100 bytes, bzip2": lambda: lying(100, ZIP_BZIP2),
    "50 MB declared as 100 bytes, lzma": lambda: lying(100, ZIP_LZMA),
    "50 MB declared as 4 GB": lambda: lying(0xFFFFFFF0),
    "200 MB of zeros": lambda: zipped(("a/2.png", bytes(200 << 20))),
    "encrypted": lambda: patched(
        zipped(method=ZIP_STORED), b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "an unknown compression": lambda: patched(zipped(), b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"),
    "a wrong checksum": lambda: patched(zipped(method=ZIP_STORED), png(1)[30:60], bytes(30)),
    "cut in half": lambda: zipped()[: len(zipped()) // 2],
    "without its last byte": lambda: zipped()[:-1],
    "an empty file": lambda: b"",
    "a page in HTML": lambda: b"<!doctype html><p>Not found</p>" * 20,
    "no member": lambda: b"PK\x05\x06" + bytes(18),
    "folders only": lambda: b"PK\x05\x06" + bytes(18),
}


def tar(*members: tuple[str, bytes, bytes], size: int | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    whole = file.getvalue()
    if size is not None:
        info = tarfile.TarInfo("cifar-100-python/meta")
        info.type, info.size = members[0][1], size
        whole = info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)
    return gzip.compress(whole)


def batches(**changes: object) -> bytes:
    good = {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1], "coarse_labels": [0, 0]}
    meta = {"fine_label_names": ["a", "b"], "coarse_label_names": ["c"]}
    members = {"meta": meta, "train": {**good, **changes}, "test": good}
    return tar(
        *((f"cifar-100-python/{name}", tarfile.REGTYPE, pickle.dumps(value, 2)) for name, value in members.items())
    )


def pickles(content: bytes) -> bytes:
    return tar(*((f"cifar-100-python/{name}", tarfile.REGTYPE, content) for name in ("meta", "train", "test")))


class Evil:
    def __reduce__(self):
        return (print, ("run",))


META = ("cifar-100-python/meta", tarfile.REGTYPE, b"x")
TARS: dict[str, Callable[[], bytes]] = {
    "a member ../x": lambda: tar(("../x", tarfile.REGTYPE, b"")),
    "a symbolic link": lambda: tar(("cifar-100-python/meta", tarfile.SYMTYPE, b"")),
    "a hard link": lambda: tar(("cifar-100-python/meta", tarfile.LNKTYPE, b"")),
    "two members of one name": lambda: tar(META, META),
    "a member of 8 GB": lambda: tar(META, size=8 << 30),
    "a name of 8 GB": lambda: tar(("x", tarfile.GNUTYPE_LONGNAME, b""), size=8 << 30),
    "a header of 8 GB": lambda: tar(("x", tarfile.XHDTYPE, b""), size=8 << 30),
    "half of it": lambda: batches()[: len(batches()) // 2],
    "a pickle that runs something": lambda: pickles(pickle.dumps(Evil(), 2)),
    "a pickle of a list": lambda: pickles(pickle.dumps([1], 2)),
    "a pickle of an array of 93 GB": lambda: pickles(b"\x80\x02cnumpy\nndarray\n\x8a\x05\x00\x00\x00\x15\x00\x85R."),
    "a pickle with a table of 2 billion": lambda: pickles(b"\x80\x02}r\xff\xff\xff\x7f."),
    "a label of -1": lambda: batches(fine_labels=[0, -1]),
    "a label that is text": lambda: batches(fine_labels=[0, "1"]),
    "pixels that are floats": lambda: batches(data=np.zeros((2, 3072))),
}

GZIPS: dict[str, Callable[[], bytes]] = {
    "400 MB of zeros": lambda: gzip.compress(bytes(1 << 20)) * 400,
    "a header of 16 million pictures": lambda: gzip.compress(
        struct.pack(">4s3I", b"\0\0\x08\3", 1 << 24, 28, 28) + bytes(1000)
    ),
    "pictures without pixels": lambda: gzip.compress(struct.pack(">4s3I", b"\0\0\x08\3", 4, 0, 28)),
    "of 200 dimensions": lambda: gzip.compress(b"\0\0\x08\xc8" + bytes(800)),
}


def parquet(images: pa.Array, labels: list, **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"image": images, "label": labels}), file, **options)
    return file.getvalue()


def repeated(count: int, size: int) -> bytes:
    one = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([bytes(size)]))
    return parquet(one.cast(pa.binary()), ["a", "b"] * (count // 2), compression="zstd")


def whole_parquet(**options: object) -> bytes:
    return parquet(pa.array([png(row) for row in range(20)]), ["a", "b"] * 10, **options)


def overwritten(content: bytes) -> bytes:
    return content[:40] + b"\xff" * 60 + content[100:]


PARQUETS: dict[str, Callable[[], bytes]] = {
    "an image of 1 MB, stored once, 1,000 times": lambda: repeated(1000, 1 << 20),
    "a label of 1 MB": lambda: parquet(pa.array([png(1), png(2)]), ["a" * (1 << 20), "b"]),
    "half of it": lambda: whole_parquet()[: len(whole_parquet()) // 2],
    "a footer of 4 GB": lambda: whole_parquet()[:-8] + b"\xff\xff\xff\xffPAR1",
    "corrupt snappy": lambda: overwritten(whole_parquet(compression="snappy")),
    "images that are integers": lambda: parquet(pa.array([{"bytes": 1}, {"bytes": 2}]), ["a", "b"]),
    "images that are nothing": lambda: parquet(pa.array([None, None], pa.binary()), ["a", "b"]),
    "labels that are lists": lambda: parquet(pa.array([png(1), png(2)]), [[1], [2]]),
}

CASES = {
    **{f"zip: {name}": ("folder", "own.zip", made) for name, made in ZIPS.items()},
    **{f"tar: {name}": ("cifar100", "cifar-100-python.tar.gz", made) for name, made in TARS.items()},
    **{f"gzip: {name}": ("mnist", "train-images-idx3-ubyte.gz", made) for name, made in GZIPS.items()},
    **{f"parquet: {name}": ("parquet", "own.parquet", made) for name, made in PARQUETS.items()},
}


def place(folder: Path, dataset: str, file: str, content: bytes) -> Where:
    (folder / file).write_bytes(content)
    if dataset != "mnist":
        return folder / file if dataset in ("folder", "parquet") else {file: folder / file}
    labels = gzip.compress(struct.pack(">4sI", b"\0\0\x08\1", 4) + bytes(4))
    images = gzip.compress(struct.pack(">4s3I", b"\0\0\x08\3", 4, 28, 28) + bytes(3136))
    for part in ("train", "t10k"):
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(labels)
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(images)
    return {path.name: path for path in folder.glob("*.gz")}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_archive_is_one_line_or_rejected(name, tmp_path, peak_memory):
    dataset, file, made = CASES[name]
    where = place(tmp_path, dataset, file, made())
    before = pa.total_allocated_bytes()
    with peak_memory() as used:
        try:
            source = opened(dataset, where)
            for content in source.read(range(len(source.items))):
                assert isinstance(content, bytes | Unusable)
                assert pa.total_allocated_bytes() - before < MEGABYTES << 20
        except DataError as error:
            assert file in str(error)
            assert "\n" not in str(error)
    assert used() < MEGABYTES << 20
    assert {path.name for path in tmp_path.iterdir()} >= {file}
    assert not list(tmp_path.parent.glob("*evil*"))


def test_there_are_as_many_as_the_documents_say():
    assert len(CASES) == 54

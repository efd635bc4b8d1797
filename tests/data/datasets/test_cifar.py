"""CIFAR-10 and CIFAR-100, on small archives in the published layout."""

import gzip
import io
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from opened_sources import opened, pictures_of

from data.errors import DataError
from data.files.plain_pickle import load_pickle

RNG = np.random.default_rng(0)


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
    back = load_pickle(pickle.dumps(batch, protocol=protocol))
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
    with pytest.raises(DataError, match=r"short\.tar\.gz: not a whole tar archive"):
        opened("cifar100", {"cifar-100-python.tar.gz": short})
    with pytest.raises(DataError, match="no meta inside"):
        opened("cifar100", {"cifar-100-python.tar.gz": tar(short, {"x": b""})})
    with pytest.raises(DataError, match=r"holds \.\./x, which lies outside it"):
        opened("cifar100", {"cifar-100-python.tar.gz": tar(short, {"../x": b""})})
    with tarfile.open(short, "w:gz") as archive:
        info = tarfile.TarInfo("cifar-100-python/meta")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="holds a link"):
        opened("cifar100", {"cifar-100-python.tar.gz": short})


def hundred(tmp_path: Path, **changes: object) -> Path:
    """A small CIFAR-100 whose training batch has other values."""
    meta = {"fine_label_names": ["a", "b"], "coarse_label_names": ["c"]}
    good = {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 1], "coarse_labels": [0, 0]}
    members = {"meta": meta, "train": {**good, **changes}, "test": good}
    return tar(
        tmp_path / "cifar-100-python.tar.gz",
        {f"cifar-100-python/{name}": pickle.dumps(value, protocol=2) for name, value in members.items()},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"fine_labels": [0, -1]},
        {"fine_labels": [0, 2]},
        {"fine_labels": [0, None]},
        {"fine_labels": [0, "1"]},
        {"fine_labels": [0]},
        {"fine_labels": 7},
        {"data": np.zeros((2, 3072), np.float64)},
        {"data": np.zeros((2, 3000), np.uint8)},
        {"data": [[0] * 3072] * 2},
        {"data": np.array([None, None])},
        {"data": None},
    ],
)
def test_other_values_than_published_are_one_line(tmp_path, changes):
    archive = hundred(tmp_path, **changes)
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz: not in the published layout"):
        opened("cifar100", {archive.name: archive})


ARRAY_OF_93_GB = (
    b"\x80\x02}U\x04datac_numpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    b"\x8a\x05\x00\x00\x00\x00\x15\x85U\x01b\x87Rs."
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps("text", protocol=2),
        ARRAY_OF_93_GB.replace(b"c_numpy", b"cnumpy"),
        b"\x80\x02}r\xff\xff\xff\x7f.",  # keep an object under the number 2,147,483,647
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x04\x96\x00\x00\x00\x00\x15\x00\x00\x00.",  # a bytearray of 90 GB
        b"\x80\x02cnumpy\nndarray\n\x8a\x05\x00\x00\x00\x00\x15\x85R.",
    ],
)
def test_other_pickles_are_one_line_and_take_no_memory(tmp_path, peak_memory, content):
    members = {f"cifar-100-python/{name}": content for name in ("meta", "train", "test")}
    archive = tar(tmp_path / "cifar-100-python.tar.gz", members)
    with peak_memory() as used, pytest.raises(DataError, match=r"python\.tar\.gz: not in the published layout"):
        opened("cifar100", {archive.name: archive})
    assert used() < 40 << 20


def test_a_member_or_a_name_of_8_gb_is_not_read(tmp_path, peak_memory):
    for kind in (tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        info = tarfile.TarInfo("cifar-100-python/meta")
        info.type, info.size = kind, 8 << 30
        archive = tmp_path / "large.tar.gz"
        with gzip.open(archive, "wb") as file:
            file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
        with peak_memory() as used, pytest.raises(DataError, match=r"large\.tar\.gz: .*(more than|not a whole)"):
            opened("cifar100", {"cifar-100-python.tar.gz": archive})
        assert used() < 40 << 20


def test_two_members_of_one_name_are_refused(tmp_path):
    archive = tmp_path / "two.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("cifar-100-python/meta")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    with pytest.raises(DataError, match="two members named"):
        opened("cifar100", {"cifar-100-python.tar.gz": archive})

"""CIFAR-10 and CIFAR-100, on small archives in the published layout."""

import io
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from opened_sources import opened, pictures_of

from data.datasets.cifar import _load
from data.errors import DataError

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

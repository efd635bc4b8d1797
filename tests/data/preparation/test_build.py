"""A prepared data set from end to end: three files that agree, and lists that stay."""

import errno
import os
from io import BytesIO

import numpy as np
import pytest
from built import classes, made, pair_source, prepare
from pictures import class_folder, png
from PIL import Image

from data.datasets.folder import folder
from data.datasets.pairs import pairs
from data.datasets.source import Item, Source
from data.errors import DataError
from data.preparation import build as module
from data.tables.protocol import read_protocol
from data.tables.rows import read_images, read_rows, read_thumbs

FILES = {"images.parquet", "rows.parquet", "protocol.json"}


def test_the_three_files_agree(tmp_path):
    protocol = prepare(folder(class_folder(tmp_path / "in"), "class"), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    rows = read_rows(tmp_path / "out" / "images.parquet")
    assert rows.hash == read_rows(tmp_path / "out" / "rows.parquet").hash == protocol.rows
    assert rows.id.tolist() == sorted(rows.id)
    images = read_images(tmp_path / "out" / "images.parquet", np.arange(len(rows)))
    for name, content in zip(rows.id, images, strict=True):
        assert content == (tmp_path / "in" / name).read_bytes()
    assert read_images(tmp_path / "out" / "images.parquet", [3]) == [images[3]]
    for thumb in read_thumbs(tmp_path / "out" / "rows.parquet", [0, 39]):
        assert Image.open(BytesIO(thumb)).size == (24, 16)
    assert read_protocol(tmp_path / "out" / "protocol.json").sha256 == protocol.sha256
    assert protocol.counts["splits"] == {
        "train": {"images": 20, "groups": 4},
        "val": {"images": 8, "groups": 4},
        "test": {"images": 12, "groups": 4},
        "test_seen": {"images": 12, "groups": 4},
    }
    assert (rows.split[protocol.candidates.query] == "test").all()
    assert set(protocol.pairs) == set(protocol.triplets) == {"val", "test_seen"}
    assert protocol.split_by == "image"


def test_equal_inputs_give_equal_bytes_and_another_seed_others(tmp_path):
    source = folder(class_folder(tmp_path / "in"), "class")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(source, tmp_path / name, seed=seed)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_each_list_has_its_own_generator(tmp_path):
    source = folder(class_folder(tmp_path / "in"), "class")
    one = prepare(source, tmp_path / "out")
    two = prepare(source, tmp_path / "out", triplets=7, pairs=10)
    assert len(two.triplets["test_seen"].anchor) == 7
    np.testing.assert_array_equal(one.candidates.candidates, two.candidates.candidates)
    np.testing.assert_array_equal(one.episodes["test_seen"].query, two.episodes["test_seen"].query)


@pytest.mark.parametrize("by", ["image", "group"])
def test_seen_is_what_training_saw(tmp_path, by):
    prepare(made(classes(8)), tmp_path, split_by=by, seen=5)
    rows = read_rows(tmp_path / "rows.parquet")
    trained = set(rows.group[rows.split == "train"])
    assert trained <= {f"c{index}" for index in range(5)}
    np.testing.assert_array_equal(rows.seen, [group in trained for group in rows.group])
    assert {f"c{index}" for index in range(5, 8)} <= set(rows.group[rows.split == "test"])
    if by == "image":
        assert set(read_protocol(tmp_path / "protocol.json").pairs) >= {"test_seen", "test_unseen"}
    else:
        assert not rows.seen[rows.split == "val"].any()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "data: no images found"),
        (["a/1", "a/1", "b/1"], r"data: the same id twice: a/1"),
        (["a/x.jpg", "a/X.JPG"], r"names that differ in case only, .*: a/x\.jpg = a/X\.JPG; rename"),
        (["a/Straße", "a/STRASSE"], "names that differ in case only"),
    ],
)
def test_names_that_clash_are_said(tmp_path, names, said):
    items = [Item(name, "a") for name in names]
    with pytest.raises(DataError, match=said):
        prepare(Source(items, lambda indices: iter(()), "class"), tmp_path)


def test_a_leak_fails_unless_allowed(tmp_path):
    contents = {
        f"{part}/{c}/{i}": png(hash_of(part, c, i)) for part in ("train", "test") for c in range(4) for i in range(6)
    }
    contents["test/2/3"] = contents["train/1/4"]
    source = made(contents, group=lambda name: name.split("/")[1], part=lambda name: name.split("/")[0])
    said = r"data\.allow_leak: 1 pictures lie in more than one split, byte for byte: test/2/3 = train/1/4; remove"
    for allow in (None, False):
        with pytest.raises(DataError, match=said):
            prepare(source, tmp_path, allow_leak=allow)
    protocol = prepare(source, tmp_path, allow_leak=True)
    assert any(note.startswith("LEAK allowed: 1 pictures") for note in protocol.notes)


def hash_of(part: str, c: int, i: int) -> int:
    return (part == "test") * 1000 + c * 100 + i


def test_duplicates_in_splits_of_ours_are_no_leak(tmp_path):
    contents = {f"c{c}/{i}": png(100 * c + i // 2) for c in range(5) for i in range(20)}
    protocol = prepare(made(contents), tmp_path)
    assert protocol.notes == ()
    assert protocol.counts["images"] == 100


def test_settings_that_do_not_fit_are_said(tmp_path):
    with pytest.raises(DataError, match=r"data\.seen: groups of own are pairs, .*; leave it null"):
        prepare(pair_source(30), tmp_path, split_by="group", seen=5)
    contents = {
        f"{part}/{c}/{i}": png(hash_of(part, c, i)) for part in ("train", "test") for c in range(4) for i in range(6)
    }
    source = made(contents, group=lambda name: name.split("/")[1], part=lambda name: name.split("/")[0])
    with pytest.raises(DataError, match=r"data\.folds: this data set has test images of its own; leave it null"):
        prepare(source, tmp_path, folds=5)
    with pytest.raises(DataError, match=r"data\.candidates: 90 wanted"):
        prepare(made(classes()), tmp_path, candidates=90)


def test_unseen_training_images_are_left_out_and_noted(tmp_path):
    contents = {
        f"{part}/{c}/{i}": png(hash_of(part, c, i)) for part in ("train", "test") for c in range(6) for i in range(6)
    }
    source = made(contents, group=lambda name: name.split("/")[1], part=lambda name: name.split("/")[0])
    protocol = prepare(source, tmp_path, seen=3)
    assert "18 training images of unseen groups left out: their groups are tested with other images" in protocol.notes
    assert protocol.counts["images"] == 54
    rows = read_rows(tmp_path / "rows.parquet")
    assert (rows.split[np.char.startswith(rows.id.astype(str), "test")] == "test").all()


def test_a_submission_is_kept_as_rows(tmp_path):
    base = pair_source(30)
    extra = [
        Item(f"test/{name}", f"test/{name}", role, "submit")
        for name, role in (("q", "left"), ("x", "right"), ("y", "right"))
    ]
    values = [*base.read(range(60)), png(901), png(902), png(903)]
    source = Source(
        [*base.items, *extra], lambda indices: (values[i] for i in indices), "pair", submit=((60, (62, 61)),)
    )
    protocol = prepare(source, tmp_path, split_by="group")
    rows = read_rows(tmp_path / "rows.parquet")
    assert rows.id[protocol.submit.query].tolist() == ["test/q"]
    assert rows.id[protocol.submit.candidates].tolist() == [["test/y", "test/x"]]
    assert set(rows.split[rows.where(split="submit")]) == {"submit"}
    assert not rows.seen[rows.split == "submit"].any()
    assert protocol.counts["splits"]["submit"]["images"] == 3
    values[61] = b""
    with pytest.raises(DataError, match="the submission needs images that cannot be used: test/x; mend them"):
        prepare(source, tmp_path, split_by="group", max_rejected=0.5)


def test_a_source_that_changes_meanwhile_is_said(tmp_path):
    source = made(classes())
    calls = []

    def read(indices):
        calls.append(1)
        for index, content in zip(indices, source.read(range(40)), strict=False):
            yield png(999) if len(calls) > 1 and index == 7 else content

    with pytest.raises(DataError, match="c0/7: changed while it was being prepared; run again"):
        prepare(Source(source.items, read, "class"), tmp_path)
    assert "images.parquet" not in {path.name for path in tmp_path.iterdir()}


def test_a_full_disk_leaves_nothing_under_a_name(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_protocol", full)
    with pytest.raises(OSError, match="No space left on device"):
        prepare(made(classes()), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"protocol.json"}


def test_pairs_of_a_folder_end_to_end(tmp_path):
    for side in ("left", "right"):
        (tmp_path / "in" / side).mkdir(parents=True)
        for index in range(30):
            (tmp_path / "in" / side / f"{index}.png").write_bytes(png(index + 1000 * (side == "left")))
    protocol = prepare(pairs(tmp_path / "in"), tmp_path / "out", split_by="group")
    assert protocol.candidates.query.shape == (9,)
    assert protocol.counts["splits"]["train"] == {"images": 36, "groups": 18}

import errno
import os
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from data import build as module
from data import check as checking
from data.build import build
from data.check import check_all
from data.decode import Unusable
from data.errors import DataError
from data.freeze import Title
from data.protocol import read_protocol
from data.rows import iter_images, read_images, read_rows, read_thumbs
from data.settings import DataSettings
from data.source import Item, Source
from data.sources.folder import folder
from data.sources.pairs import pairs
from pictures import class_folder, encoded, picture, png

FILES = {"images.parquet", "rows.parquet", "protocol.json"}


def prepare(source: Source, out, *, by="image", max_rejected=0.0, seed=0, **settings):
    small = {"candidates": 4, "pairs": 20, "triplets": 20, "episodes": {"count": 5, "queries": 1}}
    return build(
        source,
        out,
        title=Title("own", "here", "mine"),
        settings=DataSettings(**{**small, **settings}),
        seed=seed,
        by=by,
        max_rejected=max_rejected,
    )


def made(contents: dict[str, bytes | Unusable], group=lambda name: name.split("/")[0], **fields) -> Source:
    items = [Item(name, group(name), **{key: value(name) for key, value in fields.items()}) for name in contents]
    values = list(contents.values())
    return Source(items, lambda indices: (values[index] for index in indices), "class")


def classes(count: int = 4, each: int = 10, **changes) -> dict[str, bytes]:
    return {f"c{c}/{i}": png(100 * c + i) for c in range(count) for i in range(each)} | changes


def pair_source(count: int, **changes) -> Source:
    contents = {f"{side}/{i:02d}": png(100 * s + i) for s, side in enumerate(("left", "right")) for i in range(count)}
    return made({**contents, **changes}, group=lambda name: name.split("/")[1], role=lambda name: name.split("/")[0])


def test_the_three_files_agree(tmp_path):
    protocol = prepare(folder(class_folder(tmp_path / "in"), "class"), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    rows = read_rows(tmp_path / "out" / "images.parquet")
    assert rows.hash == read_rows(tmp_path / "out" / "rows.parquet").hash == protocol.rows
    assert rows.id.tolist() == sorted(rows.id)
    images = [content for batch in iter_images(tmp_path / "out" / "images.parquet", batch=7) for content in batch]
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
    prepare(made(classes(8)), tmp_path, by=by, seen=5)
    rows = read_rows(tmp_path / "rows.parquet")
    trained = set(rows.group[rows.split == "train"])
    assert trained <= {f"c{index}" for index in range(5)}
    np.testing.assert_array_equal(rows.seen, [group in trained for group in rows.group])
    assert {f"c{index}" for index in range(5, 8)} <= set(rows.group[rows.split == "test"])
    if by == "image":
        assert set(read_protocol(tmp_path / "protocol.json").pairs) >= {"test_seen", "test_unseen"}
    else:
        assert not rows.seen[rows.split == "val"].any()


def test_rejected_images_are_listed_counted_and_nothing_else_moves(tmp_path):
    contents = classes()
    contents |= {"c1/3": b"<html>", "c2/5": png(205)[:-30], "c3/7": Unusable("Permission denied")}
    protocol = prepare(made(contents), tmp_path, max_rejected=0.1)
    assert [(image.id, image.reason) for image in protocol.rejected] == [
        ("c1/3", "unreadable"),
        ("c2/5", "truncated"),
        ("c3/7", "Permission denied"),
    ]
    assert protocol.counts["rejected"] == {"Permission denied": 1, "truncated": 1, "unreadable": 1}
    rows = read_rows(tmp_path / "rows.parquet")
    assert set(rows.id) == set(contents) - {"c1/3", "c2/5", "c3/7"}
    for row, content in enumerate(read_images(tmp_path / "images.parquet", np.arange(len(rows)))):
        assert content == contents[rows.id[row]]


def test_too_many_rejected_is_said_and_nothing_is_written(tmp_path):
    contents = classes() | {f"c0/{index}": b"" for index in range(7)}
    said = (
        r"data\.max_rejected: 7 of 40 images of own cannot be used, 10% may be: c0/0 \(unreadable\), .*c0/4 "
        r"\(unreadable\) and 2 more; mend or remove them, or raise data\.max_rejected"
    )
    with pytest.raises(DataError, match=said):
        prepare(made(contents), tmp_path, max_rejected=0.1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="2 of 2 images of own cannot be used, 100% may be"):
        prepare(made({"a/1": b"", "b/1": b""}), tmp_path, max_rejected=1.0)


def test_a_partner_of_a_rejected_image_goes_too_and_is_listed(tmp_path):
    protocol = prepare(pair_source(30, **{"left/03": b"", "right/05": b""}), tmp_path, by="group", max_rejected=0.1)
    assert [(image.id, image.reason) for image in protocol.rejected] == [
        ("left/03", "unreadable"),
        ("right/05", "unreadable"),
        ("left/05", "partner"),
        ("right/03", "partner"),
    ]
    rows = read_rows(tmp_path / "rows.parquet")
    assert len(rows) == 56
    assert set(Counter(rows.group).values()) == {2}
    assert set(protocol.pairs) == {"val", "test"}
    assert "test_seen" not in protocol.counts["splits"]


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
    with pytest.raises(
        DataError, match=r"data\.seen: groups of own are pairs, whose test is never seen; leave it null"
    ):
        prepare(pair_source(30), tmp_path, by="group", seen=5)
    contents = {
        f"{part}/{c}/{i}": png(hash_of(part, c, i)) for part in ("train", "test") for c in range(4) for i in range(6)
    }
    source = made(contents, group=lambda name: name.split("/")[1], part=lambda name: name.split("/")[0])
    with pytest.raises(DataError, match=r"data\.folds: this data set has test images of its own; leave it null"):
        prepare(source, tmp_path, folds=5)
    with pytest.raises(DataError, match=r"data\.candidates: 90 asked for"):
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


def test_an_animation_is_noted(tmp_path):
    frames = [picture(seed, mode="P") for seed in (901, 902)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    protocol = prepare(made(classes() | {"c0/0": moving}), tmp_path)
    assert protocol.notes == ("1 animated images: the first frame is used",)


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
    protocol = prepare(source, tmp_path, by="group")
    rows = read_rows(tmp_path / "rows.parquet")
    assert rows.id[protocol.submit.query].tolist() == ["test/q"]
    assert rows.id[protocol.submit.candidates].tolist() == [["test/y", "test/x"]]
    assert set(rows.split[rows.where(split="submit")]) == {"submit"}
    assert not rows.seen[rows.split == "submit"].any()
    assert protocol.counts["splits"]["submit"]["images"] == 3
    values[61] = b""
    with pytest.raises(DataError, match="the submission needs images that cannot be used: test/x; mend them"):
        prepare(source, tmp_path, by="group", max_rejected=0.5)


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


def test_worker_processes_answer_as_one_process_does(monkeypatch):
    contents = [png(seed) if seed % 5 else Unusable("Is a directory") for seed in range(60)] + [b"", png(1)[:-20]]
    alone = list(check_all(contents, len(contents)))
    monkeypatch.setattr(checking, "_IN_PROCESS", 0)
    monkeypatch.setattr(checking, "_CHUNK_IMAGES", 7)
    together = list(check_all(iter(contents), len(contents)))
    assert [getattr(answer, "reason", answer) for answer in together] == [getattr(a, "reason", a) for a in alone]


def test_a_thousand_damaged_files_in_a_folder_are_each_accounted_for(tmp_path):
    rng = np.random.default_rng(1)
    forms = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    whole = {(f, i): encoded(picture(i, (20 + i, 17)), forms[f]) for f in range(8) for i in range(5)}
    class_folder(tmp_path / "in", 4, 20, start=5000)
    for index in range(1000):
        content = bytearray(whole[index % 8, index % 5])
        place = int(rng.integers(len(content)))
        match index % 3:
            case 0:
                content[place] ^= int(rng.integers(1, 256))
            case 1:
                del content[place:]
            case 2:
                content[place:place] = rng.bytes(20)
        (tmp_path / "in" / f"class{index % 4}" / f"broken{index}.{forms[index % 8].lower()}").write_bytes(content)
    protocol = prepare(folder(tmp_path / "in", "class"), tmp_path / "out", max_rejected=1.0)
    rows = read_rows(tmp_path / "out" / "rows.parquet")
    assert len(protocol.rejected) > 300
    names = {str(path.relative_to(tmp_path / "in")) for path in (tmp_path / "in").rglob("*.*")}
    assert {*rows.id, *(image.id for image in protocol.rejected)} == names
    assert len(rows) + len(protocol.rejected) == len(names) == 1080
    for name, content in zip(
        rows.id, read_images(tmp_path / "out" / "images.parquet", np.arange(len(rows))), strict=True
    ):
        assert content == (tmp_path / "in" / name).read_bytes()


def test_pairs_of_a_folder_end_to_end(tmp_path):
    for side in ("left", "right"):
        (tmp_path / "in" / side).mkdir(parents=True)
        for index in range(30):
            (tmp_path / "in" / side / f"{index}.png").write_bytes(png(index + 1000 * (side == "left")))
    protocol = prepare(pairs(tmp_path / "in"), tmp_path / "out", by="group")
    assert protocol.candidates.query.shape == (9,)
    assert protocol.counts["splits"]["train"] == {"images": 36, "groups": 18}

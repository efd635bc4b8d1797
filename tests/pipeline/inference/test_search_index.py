"""Galleries: what is searched, and what is read and embedded again when a folder changes."""

import errno
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_images import encode
from usable import FOLDER, SMALL, make_features, make_head, make_images, make_params

from data.errors import DataError, Unusable
from data.files.archives import read_file
from features.extraction.shards import write_shard
from heads.errors import HeadError
from pipeline import load_head
from pipeline.extraction import compute_here
from pipeline.inference import search_index as gallery_module
from pipeline.inference.search_index import folder_gallery, prepared_gallery

pytestmark = pytest.mark.forward

sizes: list[int] = []


@contextmanager
def counted(total, what):
    if what == "embed":
        sizes.append(total)
    yield lambda count: None


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    sizes.clear()
    return make_images()


def ready(**settings):
    params = make_params(**settings)
    make_features(params)
    make_head(params)
    return load_head(FOLDER / "head")


@pytest.fixture
def pictures(images):
    """Five images, one of them twice, in folders; a text beside them."""
    top = Path("pictures")
    names = ["a/1.png", "a/2.png", "b/3.png", "b/ü 4.png", "5.jpg", "again.png"]
    for name, content in zip(names, [*images[:5], images[0]], strict=True):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    (top / "notes.txt").write_text("no image")
    return top


@pytest.mark.parametrize("features", ["small", "both"])
def test_a_folder_is_as_each_image_alone(images, pictures, features):
    head = ready(features=features)
    found = folder_gallery(head, pictures, progress=counted)
    assert found.names == ["5.jpg", "a/1.png", "a/2.png", "again.png", "b/3.png", "b/ü 4.png"]
    alone = head.embeddings([pictures / name for name in found.names])
    np.testing.assert_allclose(found.embeddings.numpy(), alone.numpy(), atol=2e-3)
    assert [name for name, _ in found.rejected] == ["notes.txt"]
    assert found.pictures([1, 3]) == [images[0], images[0]] and found.groups is None


def test_only_what_is_new_or_changed_is_read_again(images, pictures):
    head = ready()
    first = folder_gallery(head, pictures, progress=counted)
    again = folder_gallery(head, pictures, progress=counted)
    assert sizes == [1] and again.key == first.key  # extract knows the images; notes.txt is not tried again
    (pictures / "new.png").write_bytes(encode(101))
    (pictures / "a/2.png").write_bytes(encode(102))
    (pictures / "b/3.png").unlink()
    os.utime(pictures / "5.jpg")
    changed = folder_gallery(head, pictures, progress=counted)
    assert sizes == [1, 2] and changed.key != first.key
    assert changed.names == ["5.jpg", "a/1.png", "a/2.png", "again.png", "b/ü 4.png", "new.png"]
    alone = head.embeddings([pictures / name for name in changed.names])
    np.testing.assert_allclose(changed.embeddings.numpy(), alone.numpy(), atol=2e-3)


def test_what_extract_knows_is_only_read(images, pictures):
    head = ready()
    shards = {path.name for path in Path("cache/features").iterdir()}
    folder_gallery(head, pictures, progress=counted)
    assert {path.name for path in Path("cache/features").iterdir()} == shards


def test_without_its_cache_it_starts_anew(images, pictures, monkeypatch):
    head = ready()
    first = folder_gallery(head, pictures, progress=counted)
    for path in Path("cache/features").glob("*/*"):
        path.unlink()
    for path in Path("cache/embeddings").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    second = folder_gallery(head, pictures, progress=counted)
    np.testing.assert_allclose(first.embeddings.numpy(), second.embeddings.numpy(), atol=2e-3)
    assert sizes == [1, 5]  # a file that is no image stays one; of equal images one is enough
    for path in Path("cache/folders").iterdir():
        path.write_text("[1")
    folder_gallery(head, pictures, progress=counted)
    assert sizes == [1, 5]  # read again, and recognised


@pytest.mark.parametrize("place", [1, 200, -40, -1])
@pytest.mark.parametrize("cache", ["embeddings", "folders", "no_images", "features/*"])
def test_a_changed_bit_in_a_cache_changes_no_answer(images, pictures, cache, place):
    Path("pictures/page.jpg").write_text("<html>")
    first = folder_gallery(ready(), pictures, progress=counted)
    found = list(Path("cache").glob(f"{cache}/*"))
    assert found
    for path in found:
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1
        path.unlink()  # not in place: embeddings are mapped
        path.write_bytes(content)
    second = folder_gallery(ready(), pictures, progress=counted)
    assert second.keys == first.keys and [name for name, _ in second.rejected] == [name for name, _ in first.rejected]
    np.testing.assert_allclose(first.embeddings.numpy(), second.embeddings.numpy(), atol=2e-3)


def test_parts_of_a_killed_search_are_removed(images, pictures):
    for folder in ("embeddings", "folders", "no_images"):
        part = Path("cache", folder, ".killed.npy.00000000-1.part")
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half")
        os.utime(part, (0, 0))
    folder_gallery(ready(), pictures, progress=counted)
    assert not list(Path("cache").rglob(".*.part"))


def test_another_head_on_the_same_features_embeds_nothing(images, pictures):
    folder_gallery(ready(), pictures, progress=counted)
    other = ready(dim=4)
    assert folder_gallery(other, pictures, progress=counted).embeddings.shape == (6, 8)
    assert sizes == [1]


def test_old_embeddings_are_thrown_away(images, pictures, monkeypatch):
    monkeypatch.setattr(gallery_module, "KEPT", 2)
    for dim in (3, 4, 5):
        folder_gallery(ready(dim=dim), pictures, progress=counted)
    assert len(list(Path("cache/embeddings").iterdir())) == 2


def test_the_prepared_data_set(images):
    head = ready()
    found = prepared_gallery(head, FOLDER)
    assert len(found) == 11 and found.names[3] == "picture-3" and found.groups[3] == "g1" and not found.rejected
    np.testing.assert_allclose(found.embeddings.numpy(), head.embeddings(images).numpy(), atol=2e-3)
    assert (prepared_gallery(head, FOLDER).embeddings == found.embeddings).all()


def test_other_images_than_the_head_knows(images):
    head = ready()
    make_images(9)
    with pytest.raises(HeadError, match=r"trained on other images than rows\.parquet holds; .* run `dvc repro train`"):
        prepared_gallery(head, FOLDER)


def test_too_few_images(images, pictures):
    head = ready()
    with pytest.raises(DataError, match=r"^--k 12: emoji has 11 images; ask for at most 11$"):
        prepared_gallery(head, FOLDER, least=12)
    with pytest.raises(DataError, match=r"^--k 7: pictures has 6 images; ask for at most 6$"):
        folder_gallery(head, pictures, least=7, progress=counted)


def test_folders_without_images(images, tmp_path):
    head = ready()
    Path("empty").mkdir()
    with pytest.raises(DataError, match=r"^empty: no images in it$"):
        folder_gallery(head, Path("empty"), progress=counted)
    for number in range(7):
        Path("empty", f"{number}.jpg").write_text("<html>")
    with pytest.raises(
        DataError, match=r"^empty: none of its 7 files is an image: 0\.jpg \(unreadable: .*, and 2 more$"
    ):
        folder_gallery(head, Path("empty"), progress=counted)
    with pytest.raises(DataError, match=r"^gone: no such folder; name a folder of images$"):
        folder_gallery(head, Path("gone"), progress=counted)
    with pytest.raises(DataError, match=r"^empty/1\.jpg: not a folder"):
        folder_gallery(head, Path("empty/1.jpg"), progress=counted)


def test_features_with_views_are_searched_by_the_plain_one(images, pictures):
    params = make_params(SMALL | {"flip": True, "crops": 1})
    make_features(params)
    make_head(params)
    head = load_head(FOLDER / "head")
    found = folder_gallery(head, pictures, progress=counted)
    np.testing.assert_allclose(
        found.embeddings.numpy(), head.embeddings([pictures / n for n in found.names]).numpy(), atol=2e-3
    )


def test_a_link_to_nowhere_is_left_out_and_looked_at_again(images, pictures):
    head = ready()
    (pictures / "link.png").symlink_to("nowhere.png")
    for _ in range(2):
        found = folder_gallery(head, pictures, progress=counted)
        assert [name for name, _ in found.rejected] == ["link.png", "notes.txt"]
    assert sizes == [1]


def test_a_renamed_folder_is_read_and_recognised(images, pictures):
    head = ready()
    first = folder_gallery(head, pictures, progress=counted)
    moved = pictures.rename("elsewhere")
    assert folder_gallery(head, moved, progress=counted).key == first.key and sizes == [1]


def test_a_file_that_could_not_be_read_once_is_there_the_next_time(images, pictures, monkeypatch):
    head = ready()
    (pictures / "a/2.png").write_bytes(encode(103))

    def failing(path: Path):
        return Unusable("Input/output error") if path.name == "2.png" else read_file(path)

    for place in ("data.files.archives", "features.extraction.image_files"):
        with monkeypatch.context() as patch:
            patch.setattr(f"{place}.read_file", failing)
            found = folder_gallery(head, pictures, progress=counted)
        assert ("a/2.png", "Input/output error") in [(name, why.reason) for name, why in found.rejected]
        assert "a/2.png" not in found.names
    found = folder_gallery(head, pictures, progress=counted)
    assert "a/2.png" in found.names and [name for name, _ in found.rejected] == ["notes.txt"]


def test_a_killed_run_loses_one_shard(images, pictures, monkeypatch):
    head = ready()
    for path in Path("cache/features").glob("*/*"):
        path.unlink()
    monkeypatch.setattr("features.extraction.image_files.SHARD", 1)
    monkeypatch.setattr("pipeline.inference.folder_features.compute_here", one_by_one)
    saved = []

    def killed(folder, keys, features):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(len(keys))
        write_shard(folder, keys, features)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.inference.folder_features.write_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            folder_gallery(head, pictures, progress=counted)
    assert len(folder_gallery(head, pictures, progress=counted)) == 6
    assert saved == [1, 1, 1] and sizes == [6, 3]


def one_by_one(**kind):
    return replace(compute_here(**kind), batch=1, workers=0)


def test_that_nothing_is_kept_is_said_once(images, pictures, capsys, monkeypatch):
    head = ready()
    monkeypatch.setattr("pipeline.inference.keep._warned", set())
    shutil.rmtree("cache")
    Path("cache").write_text("a file")  # every write fails, as on a read-only disk; the tests may run as root
    for _ in range(2):
        folder_gallery(head, pictures, progress=counted)
    assert sizes == [6, 6] and capsys.readouterr().err.count("cannot be written") == 1


def test_embeddings_of_older_code_are_not_found(images, pictures, monkeypatch):
    head = ready()
    first = prepared_gallery(head, FOLDER)
    assert prepared_gallery(head, FOLDER).key == first.key
    monkeypatch.setattr(gallery_module, "fingerprint", lambda module: "edited")
    assert prepared_gallery(head, FOLDER).key != first.key


@pytest.mark.parametrize("features", ["small", "both"])
def test_a_cache_that_cannot_be_written_keeps_nothing_and_changes_nothing(images, pictures, features, monkeypatch):
    head = ready(features=features)
    wanted = folder_gallery(head, pictures, progress=counted)
    Path("file").write_text("no folder")
    monkeypatch.setenv("LOOKALIKE_CACHE", str(Path("file/cache").absolute()))
    found = folder_gallery(head, pictures, progress=counted)
    assert found.names == wanted.names
    assert found.key == wanted.key
    np.testing.assert_allclose(found.embeddings.numpy(), wanted.embeddings.numpy(), atol=1e-6)


def test_a_cache_that_is_full_still_gives_what_it_holds_and_takes_nothing_new(images, pictures, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    head = ready(features="small")
    folder_gallery(head, pictures, progress=counted)
    (pictures / "new.png").write_bytes(encode(104))
    sizes.clear()
    for module in ("features.extraction.shards", "pipeline.inference.files_index"):
        monkeypatch.setattr(f"{module}.write_bytes", full)
    found = folder_gallery(head, pictures, progress=counted)
    assert "new.png" in found.names and sizes == [1]
    alone = head.embeddings([pictures / name for name in found.names])
    np.testing.assert_allclose(found.embeddings.numpy(), alone.numpy(), atol=2e-3)


def test_what_the_tree_says_of_a_folder_stays_in_a_search(images, pictures):
    (pictures / "logo.png").mkdir()
    (pictures / "logo.png" / "1.png").write_bytes(images[6])
    (pictures / "linked").symlink_to((pictures / "a").absolute())
    found = folder_gallery(ready(), pictures, progress=counted)
    rejected = {name: str(why) for name, why in found.rejected}
    assert "1 files; rename" in rejected["logo.png"]
    assert "not followed; 2 files" in rejected["linked"]
    assert any("linked" in note for note in found.notes)

import os
import stat
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import pytest

from data.errors import DataError
from data.files.archives import open_tree, open_zip, unicode_name
from data.images.decode import Unusable


def test_odd_names_are_fine_and_hidden_files_are_not_there(tmp_path):
    names = ["a b/ü.JPG", "a b/new\nline.png", "x/日本.webp", "top.png"]
    for name in [*names, ".hidden", ".git/config", "x/Thumbs.db", "x/.DS_Store"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    tree = open_tree(tmp_path)
    assert tree.names == sorted(names)
    assert all(tree.read(name) == name.encode() for name in names)


def test_names_that_are_no_utf8_stay_readable(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    (name,) = open_tree(tmp_path).names
    assert open_tree(tmp_path).read(name) == b"x"
    assert unicode_name(name) == "caf\\xe9.png"


def test_what_the_system_refuses_has_its_reason(tmp_path):
    (tmp_path / "c" / "folder.jpg").mkdir(parents=True)
    (tmp_path / "c" / "dangling.png").symlink_to("nowhere")
    (tmp_path / "c" / "loop.png").symlink_to("loop.png")
    (tmp_path / "c" / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "c" / "pipe.png")
    tree = open_tree(tmp_path)
    found = {name: tree.read(name) for name in tree.names}
    assert all(isinstance(value, Unusable) for value in found.values())
    assert {name: value.reason for name, value in found.items()} == {
        "c/folder.jpg": "Is a directory",
        "c/dangling.png": "No such file or directory",
        "c/loop.png": "Too many levels of symbolic links",
        "c/elsewhere": "link",
        "c/pipe.png": "Not a regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    assert open_tree(tmp_path).read("a.png").reason == "Permission denied"


def test_a_zip_reads_like_a_folder(tmp_path):
    with ZipFile(tmp_path / "a.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("c/", "")
        archive.writestr("c/1.png", b"one")
        archive.writestr("__MACOSX/c/._1.png", b"junk")
    tree = open_tree(tmp_path / "a.zip")
    assert tree.names == ["c/1.png"]
    assert tree.read("c/1.png") == b"one"


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "C:/evil.png"])
def test_a_zip_that_leads_outside_is_not_read(tmp_path, name):
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(
        DataError, match=r"a\.zip: holds .*evil\.png, which lies outside it; such an archive is not read"
    ):
        open_zip(tmp_path / "a.zip")


def test_a_zip_with_a_link_is_not_read(tmp_path):
    info = ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"holds a link \(link\.png\); such an archive is not read"):
        open_zip(tmp_path / "a.zip")


def test_a_broken_zip_is_said_and_a_broken_member_is_rejected(tmp_path):
    path = tmp_path / "a.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.png", os.urandom(1000))
        archive.writestr("b.png", b"fine")
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF
    path.write_bytes(content)
    tree = open_zip(path)
    assert tree.read("a.png").reason == "unreadable"
    assert tree.read("b.png") == b"fine"
    path.write_bytes(content[:600])
    with pytest.raises(DataError, match=r"a\.zip: not a whole zip archive"):
        open_zip(path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder or file"):
        open_tree(tmp_path / "nowhere")
    (tmp_path / "a.rar").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.rar: neither a folder nor a \.zip"):
        open_tree(tmp_path / "a.rar")


def test_links_to_folders_and_folders_named_like_images_are_counted(tmp_path):
    for folder in ("elsewhere", "top/logo.png", "top/plain"):
        (tmp_path / folder / "below").mkdir(parents=True)
        for number in range(3):
            (tmp_path / folder / "below" / f"{number}.png").write_bytes(b"x")
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "plain" / "back").symlink_to(tmp_path / "top")
    tree = open_tree(tmp_path / "top")
    assert set(tree.problems) == {"linked", "logo.png", "plain/back"}
    assert "3 files" in str(tree.read("linked"))
    assert tree.read("logo.png").reason == "Is a directory"
    assert "3 files" in str(tree.read("logo.png"))
    assert len(tree.notes) == 2
    assert [name for name in tree.names if name not in tree.problems] == [f"plain/below/{n}.png" for n in range(3)]


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
@pytest.mark.parametrize("declared", [0, 100, 5000])
def test_a_member_that_lies_about_its_size_costs_no_more_than_it_says(tmp_path, peak_memory, method, declared):
    path = tmp_path / "a.zip"
    with ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    content = path.read_bytes()
    size = (50_000_000).to_bytes(4, "little")
    path.write_bytes(content.replace(size, declared.to_bytes(4, "little")))
    with peak_memory() as used:
        assert open_zip(path).read("a.png").reason == "unreadable"
    assert used() < 40 << 20


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["c/a.png", "c//a.png", "./c/a.png"])
def test_two_members_of_one_name_are_refused(tmp_path, second):
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("c/a.png", b"one")
        archive.writestr(second, b"two")
    with pytest.raises(DataError, match=r"a\.zip: holds two members named c/a\.png"):
        open_zip(tmp_path / "a.zip")


def test_each_byte_of_a_zip_changed_is_read_or_said(tmp_path):
    path = tmp_path / "a.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("c/a.png", b"some bytes" * 9)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for value in (0, 255, whole[place] ^ 1):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                tree = open_zip(path)
            except DataError as error:
                assert "a.zip" in str(error)
                continue
            for name in tree.names:
                assert tree.read(name) == b"some bytes" * 9 or isinstance(tree.read(name), Unusable)

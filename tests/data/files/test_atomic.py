import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.files.atomic import atomic_file, remove_old_parts, sha256_bytes, sha256_file, write_bytes


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_written_whole_and_nothing_else_stays(tmp_path):
    path = tmp_path / "new" / "file.bin"
    write_bytes(path, b"first")
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(path.parent) == ["file.bin"]


def test_a_failure_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half of the new")
        file.flush()
        assert path.read_bytes() == b"old"
        assert [name for name in names(tmp_path) if not name.startswith(".")] == ["file.bin"]
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_full_disk_is_said_with_the_name(tmp_path):
    path = tmp_path / "file.bin"
    with pytest.raises(OSError, match=r"No space left on device: '.*file\.bin'"), atomic_file(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_file(tmp_path / "file.bin"):
        (tmp_path / "elsewhere").read_bytes()


def test_sha256(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == sha256_bytes(content) == hashlib.sha256(content).hexdigest()


def test_a_file_that_may_not_be_that_large_is_named(tmp_path):
    """In a process of its own: the limit holds for all that it writes."""
    code = """
import resource, sys, tempfile
from pathlib import Path
from data.files.atomic import name_errors, write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
top = Path(sys.argv[1])
for name in ("whole", "spool"):
    try:
        if name == "whole":
            write_bytes(top / name, bytes(5000))
        else:
            with name_errors(top / name), tempfile.TemporaryFile(dir=top) as file:
                file.write(bytes(5000))
    except OSError as error:
        print(error)
"""
    pytest.importorskip("resource")
    top = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=top, capture_output=True, text=True, check=True)
    assert [line.split("/")[-1] for line in done.stdout.splitlines()] == ["whole'", "spool'"]
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_stays(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    age = {f".a.{gone.pid}.part": 60, f".b.{gone.pid}.part": 0, f".c.{os.getpid()}.part": 60}
    age |= {".d.x.part": 90_000, "e": 90_000}
    for name, seconds in age.items():
        (tmp_path / name).write_bytes(b"x")
        then = time.time() - seconds
        os.utime(tmp_path / name, (then, then))
    remove_old_parts(tmp_path)
    assert sorted(names(tmp_path)) == sorted([f".b.{gone.pid}.part", f".c.{os.getpid()}.part", "e"])
    remove_old_parts(tmp_path / "none")

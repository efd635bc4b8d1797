import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.files import atomic
from data.files.atomic import atomic_file, sha256_bytes, sha256_file, write_bytes


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


WRITING = """
import sys, time
from pathlib import Path
from data.files.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_write_and_what_is_being_written_stays(tmp_path):
    top = Path(__file__).parents[3]
    started = [
        subprocess.Popen([sys.executable, "-c", WRITING, tmp_path / name], cwd=top, stdout=subprocess.PIPE)
        for name in ("killed", "alive")
    ]
    for process in started:
        assert process.stdout.readline() == b"writing\n"
    parts = {process.pid: name for process in started for name in names(tmp_path) if f"-{process.pid}." in name}
    assert len(parts) == 2
    killed, alive = (process.pid for process in started)
    with atomic_file(tmp_path / "other"):  # its own part stays too
        write_bytes(tmp_path / "while", b"")
        assert {*parts.values()} < {*names(tmp_path)}
        started[0].kill()
        started[0].wait()
        write_bytes(tmp_path / "after", b"")
        assert parts[killed] not in names(tmp_path)
    assert sorted(names(tmp_path)) == sorted([parts[alive], "after", "other", "while"])
    started[1].kill()
    started[1].wait()


def test_a_part_of_another_machine_of_the_same_name_stays(tmp_path, monkeypatch):
    """Its number is one of that machine's processes, and says nothing here."""
    monkeypatch.setattr(atomic, "_INSTALLATION", tmp_path / "machine-id")
    parts = []
    for machine in ("another", "this"):
        (tmp_path / "machine-id").write_text(machine)
        parts.append(tmp_path / f".{machine}.{atomic._machine()}-999999999.part")
        parts[-1].write_bytes(b"half")
    write_bytes(tmp_path / "new", b"")
    assert [part.exists() for part in parts] == [True, False]


def test_parts_of_other_machines_stay_for_a_day_and_other_files_for_ever(tmp_path):
    age = {".a.00000000-1.part": 90_000, ".b.00000000-1.part": 80_000, ".c.1.part": 90_000, ".d.part": 90_000}
    age |= {".e.00000000-1.part.kept": 90_000, "f.00000000-1.part": 90_000}
    for name, seconds in age.items():
        (tmp_path / name).write_bytes(b"x")
        then = time.time() - seconds
        os.utime(tmp_path / name, (then, then))
    write_bytes(tmp_path / "new", b"")
    assert sorted(names(tmp_path)) == sorted([*list(age)[1:], "new"])

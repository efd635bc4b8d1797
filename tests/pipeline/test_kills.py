"""Every stage is killed in the middle, five times each, and run again: the bytes of an undisturbed run, nothing else.

Three of the five are at the first, a middle and the last call of fsync, so between two files or two halves of one, and
two at a quarter and three quarters of the stage's time. A kill counts only if the stage was running.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import TOP, call, copy_project
from small_project import PARAMS, STAGES, write_params

pytestmark = pytest.mark.slow

MOMENTS = ("first write", "middle write", "last write", "1/4 of the time", "3/4 of the time")
WAIT = 300  # seconds
# The command line, with a stage that says when it runs, and is killed at the fsync of that number.
WATCHED = """
import os, signal, sys, time
from importlib import import_module
from pipeline.cli.app import main
kill_at, stage = int(sys.argv.pop()), import_module(f"pipeline.stages.{sys.argv[1]}")
run, fsync, count = stage.run, os.fsync, 0

def watched_run(*arguments):
    print("running", flush=True)
    start = time.perf_counter()
    run(*arguments)
    print("ran", time.perf_counter() - start, count)

def counted_fsync(handle):
    global count
    count += 1
    if count == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)

stage.run, os.fsync = watched_run, counted_fsync
main()
"""
Files = dict[str, bytes]


def start(folder: Path, stage: str, *, kill_at: int = 0) -> subprocess.Popen[str]:
    """A stage, in a process group of its own, so that its worker processes can be found."""
    environment = os.environ | {"LOOKALIKE_CACHE": str(folder / "cache"), "PYTHONPATH": str(TOP)}
    words = [sys.executable, "-c", WATCHED, stage, *STAGES[stage], str(kill_at)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return out


def files(folder: Path) -> Files:
    """What stages write for others, and whatever else lies beside it."""
    places = [path for path in folder.iterdir() if path.is_file() and path.name != "params.yaml"]
    places += [path for path in (folder / "artifacts").rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in places}


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> dict[str, Path]:
    """Of each stage the folder as it was before it; of "end" as it is after the last one. No kill so far."""
    folder, kept = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("states")
    write_params(folder)
    for stage in STAGES:
        shutil.copytree(folder, kept / stage)
        out = finish(start(folder, stage)).split()
        place = out.index("ran")
        (kept / f"{stage}.ran").write_text(" ".join(out[place + 1 : place + 3]))
    shutil.copytree(folder, kept / "end")
    return {name: kept / name for name in (*STAGES, "end")}


def kill(folder: Path, stage: str, moment: str, seconds: float, writes: int) -> None:
    """Run `stage` in `folder` and kill it.

    Raises:
        AssertionError: it was not running any more.
    """
    if moment.endswith("write"):
        number = {"first": 1, "middle": (writes + 1) // 2, "last": writes}[moment.split()[0]]
        process = start(folder, stage, kill_at=number)
    else:
        process = start(folder, stage)
        assert process.stdout is not None and process.stdout.readline() == "running\n"
        time.sleep(seconds * (0.25 if moment.startswith("1/4") else 0.75))
        process.kill()
    process.communicate(timeout=WAIT)
    assert process.returncode == -signal.SIGKILL
    for _ in range(150):  # its worker processes end by themselves
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker process is left")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_run_again_gives_the_same_bytes(states, tmp_path, stage, moment):
    seconds, writes = states[stage].with_name(f"{stage}.ran").read_text().split()
    for haste in (1, 0.5, 0.2, 0):  # a machine may be quicker than it was
        folder = tmp_path / f"{haste}"
        shutil.copytree(states[stage], folder)
        try:
            kill(folder, stage, moment, float(seconds) * haste, int(writes))
            break
        except AssertionError as error:
            missed = error
    else:
        raise missed
    finish(start(folder, stage))
    after = [*STAGES, "end"][[*STAGES].index(stage) + 1]
    assert files(folder) == files(states[after])
    assert not list(folder.rglob("*.part"))


def test_dvc_killed_with_its_stage_goes_on_and_ends_as_undisturbed(tmp_path):
    whole = copy_project(tmp_path / "whole/lookalike", **PARAMS)
    call(whole, "dvc", "repro")
    for stage in ("prepare", "extract@small", "finetune@mine", "evaluate"):
        folder = copy_project(tmp_path / stage / "lookalike", **PARAMS)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "LOOKALIKE_CACHE": str(folder.parent / "cache")}
        environment |= {"PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}
        words, pipe = ["dvc", "repro"], subprocess.PIPE
        process = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        assert process.stdout is not None
        assert any(f"Running stage '{stage}'" in line for line in process.stdout)
        time.sleep(1.5)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=WAIT)
        lock = folder / "dvc.lock"
        assert process.returncode == -signal.SIGKILL and (not lock.exists() or f"{stage}:" not in lock.read_text())
        call(folder, "dvc", "repro")
        for name in ("dvc.lock", "metrics.json"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert not [path for place in (folder, folder.parent / "cache") for path in place.rglob("*.part")]

"""`python -m pipeline bench loop`: seconds from `dvc exp run -S head.loss=triplet` to its scores.

The floor is a DVC project of two stages that import torch and exit. Both run in turn, in copies of their own, so that a
slow machine slows both; the ratio is the median of the rounds' ratios.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median

from pipeline.errors import ParamError
from pipeline.machine import machine, write_rows
from pipeline.repository import git
from pipeline.studies.project_copy import copy_project

OUT, BUILD = Path("benchmarks/loop.csv"), Path("build/bench_loop")
FLOOR = {
    "dvc.yaml": "stages:\n"
    "  first: {cmd: python stage.py first.txt, params: [x], deps: [stage.py], outs: [first.txt]}\n"
    "  second: {cmd: python stage.py second.txt, params: [x], deps: [stage.py, first.txt], outs: [second.txt]}\n",
    "params.yaml": "x: 0\n",
    "stage.py": "import pathlib, sys, time, torch\npathlib.Path(sys.argv[1]).write_text(str(time.time()))\n",
    ".gitignore": "*.txt\n",
}


def run(*, rounds: int, busy: int) -> None:
    """Time `rounds` experiments of each, alone and beside `busy` processes that compute, and write a row for both.

    Raises:
        ParamError: a command failed; its last line.
    """
    project, floor = copy_project(BUILD / "project"), floor_project(BUILD / "floor")
    for folder in (project, floor):
        timed_call(folder, "dvc", "repro")
        if git("status", "--porcelain", at=folder):
            git("add", "-A", at=folder)
            git("commit", "--quiet", "-m", "base", at=folder)
    table = [measure(project, floor, rounds=rounds, busy=count) for count in ((0, busy) if busy else (0,))]
    write_rows(OUT, table)
    print(f"-> {OUT}")


def measure(project: Path, floor: Path, *, rounds: int, busy: int) -> dict[str, object]:
    """Time both in turn beside `busy` processes that compute."""
    pairs = []
    with computing(busy):
        for _ in range(rounds):
            value = str(time.time_ns() % 10**9)
            ours = timed_call(project, "dvc", "exp", "run", "-S", "head.loss=triplet", "-S", f"head.lr=0.00{value}")
            pairs.append((timed_call(floor, "dvc", "exp", "run", "-S", f"x={value}"), ours))
    row = {
        "rounds": rounds,
        "busy": busy,
        "floor_s": round(median(floor for floor, _ in pairs), 2),
        "loop_s": round(median(ours for _, ours in pairs), 2),
        "ratio": round(median(ours / floor for floor, ours in pairs), 2),
        "machine": machine(),
        "torch": version("torch"),
        "dvc": version("dvc"),
    }
    times = f"{row['loop_s']} s, {row['ratio']}x the floor of {row['floor_s']} s"
    print(f"dvc exp run -S head.loss=triplet: {times}" + (f", beside {busy} busy processes" if busy else ""))
    return row


def floor_project(folder: Path) -> Path:
    """Make or renew the empty project."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FLOOR.items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
    if not (folder / ".git").is_dir():
        git("init", "--quiet", "-b", "main", at=folder)
        for key, value in (("user.name", "bench"), ("user.email", "bench@localhost")):
            git("config", key, value, at=folder)
        timed_call(folder, "dvc", "init", "--quiet")
        timed_call(folder, "dvc", "config", "core.analytics", "false")
    return folder


@contextmanager
def computing(count: int) -> Iterator[None]:
    """`count` processes that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def timed_call(folder: Path, *words: str) -> float:
    """Seconds of a command in `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise ParamError(f"{' '.join(words)} in {folder}: {lines[-1]}")
    return time.perf_counter() - start

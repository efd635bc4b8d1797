"""A command with all its child processes: ended together, and found again if they outlive the parent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PATIENCE = 10  # seconds between SIGTERM and SIGKILL


def run_to_end(words: Sequence[str], *, at: Path, log: Path, environment: Mapping[str, str]) -> int:
    """Run a command in the folder `at`, its output in `log`; the exit code.

    If this process is ended by SIGTERM, SIGHUP or Ctrl-C, the command and its children are ended first.
    """
    with log.open("w", encoding="utf-8") as output, _signals_as_exits():
        process = subprocess.Popen(words, cwd=at, stdout=output, stderr=subprocess.STDOUT, env=dict(environment))
        try:
            return process.wait()
        except BaseException:
            end(psutil.Process(process.pid))
            process.wait()
            raise


def end(parent: psutil.Process) -> None:
    """End a process and its descendants; those that do not go within PATIENCE are killed."""
    try:
        those = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for each in those:
        _quietly(each.terminate)
    left = psutil.wait_procs(those, timeout=PATIENCE)[1]
    for each in left:
        _quietly(each.kill)
    psutil.wait_procs(left, timeout=PATIENCE)


def processes_in(folder: Path) -> list[int]:
    """Numbers of the Python processes whose working directory is `folder`."""
    found = []
    for each in psutil.process_iter(["pid", "name", "cwd", "status"]):
        cwd, name = each.info["cwd"], each.info["name"] or ""
        if cwd and "python" in name.lower() and each.info["status"] != psutil.STATUS_ZOMBIE:
            found += [each.info["pid"]] if Path(cwd) == folder.resolve() else []
    return sorted(pid for pid in found if pid != os.getpid())


@contextmanager
def _signals_as_exits() -> Iterator[None]:
    """SIGTERM and SIGHUP as SystemExit, so that `finally` and `except` blocks run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {kind: signal.signal(kind, lambda number, _: sys.exit(128 + number)) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _quietly(action: Callable[[], object]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()

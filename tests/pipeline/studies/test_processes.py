"""A command and its children end together, and a child that outlives its parent is found."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from pipeline.errors import ParamError
from pipeline.studies.processes import processes_in, run_to_end
from pipeline.studies.project_copy import BUILD
from pipeline.studies.running import run_experiment

# As DVC starts a stage: a shell between two Python processes. The innermost writes its number and sleeps.
STAGE = "import os, time; open('stage', 'w').write(str(os.getpid())); time.sleep(900)"
SHELL = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, STAGE]
DVC = f"import subprocess; subprocess.run({SHELL!r})"
STUDY = """
import os, signal, sys
from pathlib import Path
from pipeline.studies.processes import run_to_end
# As in a terminal: a script that starts the tests in the background, or nohup, has these ignored, by its children too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
run_to_end([sys.executable, "-c", sys.argv[1]], at=Path(sys.argv[2]), log=Path("log"), environment=os.environ)
"""


def started(folder: Path) -> tuple[subprocess.Popen, int]:
    """A study whose experiment runs a stage in `folder`; the number of the stage's process."""
    (folder / "copy").mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", STUDY, DVC, str(folder / "copy")], cwd=folder, env=environment)
    for _ in range(6000):  # 10 minutes: a busy machine is no failure
        stage = folder / "copy/stage"
        if stage.exists() and stage.read_text():
            return process, int(stage.read_text())
        if process.poll() is not None:
            pytest.fail(f"the study ended with {process.returncode} before its stage wrote its number")
        time.sleep(0.1)
    process.kill()
    pytest.fail("the stage did not start within ten minutes")


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_stage_too(tmp_path, kind):
    process, stage = started(tmp_path)
    process.send_signal(kind)
    assert process.wait(600) != 0
    assert not psutil.pid_exists(stage) or psutil.Process(stage).status() == psutil.STATUS_ZOMBIE


def test_a_stage_that_outlives_a_killed_study_keeps_the_next_one_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / BUILD / "project"
    copy.mkdir(parents=True)
    assert processes_in(copy) == []
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=copy) as left:
        assert processes_in(copy) == [left.pid]
        with pytest.raises(ParamError, match=f"still runs .*kill {left.pid}"):
            run_experiment(None)
        left.kill()


def test_one_study_at_a_time(tmp_path, monkeypatch):
    """A second one would write its params into the copy in which the first one's experiment runs."""
    monkeypatch.chdir(tmp_path)
    BUILD.mkdir(parents=True)
    with FileLock(BUILD / "lock"), pytest.raises(ParamError, match="another one is running in this project; wait"):
        run_experiment(None)


def test_output_and_exit_code(tmp_path):
    words = [sys.executable, "-c", "print('hello'); raise SystemExit(3)"]
    assert run_to_end(words, at=tmp_path, log=tmp_path / "log", environment=os.environ) == 3
    assert (tmp_path / "log").read_text() == "hello\n"

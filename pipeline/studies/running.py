"""One experiment at a time, by `dvc exp run` in a copy of the project, so that the user's workspace stays as it is.

DVC writes to the workspace while an experiment runs, and an interrupted run would leave that there. What came out is
kept in build/studies/<experiment>/ with the params and the code that made it; a row with such a result is not run
again. Features and heads that rows share come out of DVC's cache.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from data.files.atomic import write_bytes
from pipeline.errors import ParamError
from pipeline.machine import machine
from pipeline.repository import git, head_commit
from pipeline.shared.csv_text import read_csv_dicts
from pipeline.studies.identity import result_identity
from pipeline.studies.plan import Experiment
from pipeline.studies.processes import processes_in, run_to_end
from pipeline.studies.project_copy import BUILD, copy_project, write_params

RESULT, LOG, TIMINGS = "result.json", "log", "timings.csv"
FILES = ("metrics.json", "scores/table.csv", "scores/queries.parquet")
ROC_FILE = "scores/roc.csv"  # copied too; results of an earlier version lack it
OF_THE_ROW = ("finetune", "train", "evaluate")  # stages whose time is a row's own; data and frozen features are shared


class RunFailed(RuntimeError):
    """An experiment ended with an error; the message is its own."""


@dataclass(frozen=True)
class Result:
    """A finished experiment; its FILES lie in `folder`."""

    key: str  # hash of its params and code
    code: str  # hash of the code alone
    seconds: float | None  # of the row's own stages; None if they came out of DVC's cache
    machine: str
    versions: str
    folder: Path


def result_key(experiment: Experiment) -> str:
    text = json.dumps([result_identity(experiment.params), experiment.code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def find_result(experiment: Experiment, *, any_code: bool = False) -> Result | None:
    """The result of this experiment on this disk; `any_code`: also one of older code."""
    folder = BUILD / experiment.name
    try:
        found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        params = found.pop("params")
        result = Result(folder=folder, **found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = params == result_identity(experiment.params) if any_code else result.key == result_key(experiment)
    return result if same and all((folder / Path(file).name).is_file() for file in FILES) else None


def write_result(result: Result, experiment: Experiment) -> None:
    values = {name: value for name, value in asdict(result).items() if name != "folder"}
    text = json.dumps(values | {"params": result_identity(experiment.params)}, indent=2)
    write_bytes(result.folder / RESULT, (text + "\n").encode())


def run_experiment(experiment: Experiment) -> Result:
    """
    Raises:
        RunFailed: the experiment ended with an error.
        ParamError: this is no git repository with a commit, which DVC's experiments need; or another study is running,
            whose params would be overwritten.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(BUILD / "lock", timeout=0):
            left = processes_in(BUILD / "project")
            if left:
                raise ParamError(
                    f"study: an experiment of a study that was killed still runs (process {left[0]}); "
                    f"wait for it, or end it: kill {' '.join(map(str, left))}"
                )
            return _run(experiment)
    except Timeout:
        raise ParamError("study: another one is running in this project; wait for it, or stop it first") from None


def _run(experiment: Experiment) -> Result:
    folder, copy = BUILD / experiment.name, copy_project()
    before = find_result(experiment, any_code=True)
    folder.mkdir(parents=True, exist_ok=True)
    timings = folder / TIMINGS
    for stale in (folder / RESULT, timings):
        stale.unlink(missing_ok=True)
    write_params(copy, experiment.raw)
    # An experiment of that name on this commit would stop the new one.
    sha = head_commit()
    reference = f"refs/exps/{sha[:2]}/{sha[2:]}/{experiment.name}"
    git("update-ref", "-d", reference, at=copy)
    words = [sys.executable, "-m", "dvc", "exp", "run", "--name", experiment.name, "evaluate"]
    environment = os.environ | {
        "LOOKALIKE_LEDGER": str(timings.resolve()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if run_to_end(words, at=copy, log=folder / LOG, environment=environment):
        raise RunFailed(error_line((folder / LOG).read_text(encoding="utf-8", errors="replace")))
    for file in (*FILES, ROC_FILE):
        source = f"artifacts/{experiment.params.data.name}/{file}" if "/" in file else file
        shutil.copy2(copy / source, folder / Path(file).name)
    git("fetch", "--quiet", str(copy), f"+{reference}:{reference}")  # `dvc exp show` lists it
    seconds = seconds_of(timings, finetunes=bool(experiment.params.finetunes))
    if seconds is None and before is not None:
        seconds = before.seconds
    result = Result(result_key(experiment), experiment.code, seconds, machine(), versions(), folder)
    write_result(result, experiment)
    return result


def error_line(log: str) -> str:
    """The pipeline's own error line, or DVC's, or the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for start in ("error: ", "ERROR: "):
        own = [line.removeprefix(start) for line in lines if line.startswith(start)]
        if own:
            return own[-1] if start == "error: " else own[0]
    return lines[-1] if lines else "it printed nothing"


def seconds_of(timings: Path, *, finetunes: bool) -> float | None:
    """Of the row's own stages; None if the head, or one of the row's networks, was not trained now."""
    try:
        rows = read_csv_dicts(timings)
    except OSError:
        return None
    own = [float(row["seconds"]) for row in rows if row["stage"].partition("@")[0] in OF_THE_ROW]
    stages = {row["stage"].partition("@")[0] for row in rows}
    trained = {"train", "finetune"} if finetunes else {"train"}
    return round(sum(own), 1) if trained <= stages else None


def versions(names: Iterable[str] = ("torch", "timm", "dvc")) -> str:
    own = f"Python {sys.version.split()[0]}"
    return ", ".join([own, *(f"{name} {version(name)}" for name in names)])

"""One experiment at a time, by `dvc exp run` in a copy of the project: nothing of the user's workspace is touched.

DVC writes params.yaml and, for an experiment aside, puts uncommitted work away and back: a kill would leave it there.
What came out is kept in build/studies/<experiment>/, with the identity of what was asked: a row whose result lies there
for the same params and code is not run again. Features and heads that rows share come out of DVC's cache.
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from data.files.atomic import write_bytes
from pipeline.errors import ParamError
from pipeline.machine import machine
from pipeline.studies.plan import Experiment, identity
from pipeline.studies.settings import FOLDER

KEPT = Path("build/studies")
RESULT, LOG = "result.json", "log"
FILES = ("metrics.json", "scores/table.csv", "scores/queries.parquet")
OF_THE_ROW = ("finetune", "train", "evaluate")  # stages whose time is a row's own; data and frozen features are shared


class RunFailed(RuntimeError):
    """An experiment ended with an error; the message is its last words."""


@dataclass(frozen=True)
class Result:
    """What is known of a finished experiment beside its files."""

    key: str
    seconds: float | None  # of the row's own stages; None where they came out of DVC's cache
    machine: str
    versions: str
    folder: Path


def key_of(experiment: Experiment, code: str) -> str:
    text = json.dumps([identity(experiment.params), code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def kept(experiment: Experiment, code: str, *, any_code: bool = False) -> Result | None:
    """The result that lies here, if it answers this experiment. `any_code`: even if the program has changed since."""
    folder = KEPT / experiment.name
    try:
        found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        asked = found.pop("asked")
        result = Result(folder=folder, **found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = asked == identity(experiment.params) if any_code else result.key == key_of(experiment, code)
    return result if same and all((folder / Path(file).name).is_file() for file in FILES) else None


def run(experiment: Experiment, code: str) -> Result:
    """
    Raises:
        RunFailed: the experiment's own last words.
        ParamError: this is no git repository with a commit, which DVC's experiments need; or another study is running,
            which would write its params into the same copy.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(KEPT / "lock", timeout=0):
            return _run(experiment, code)
    except Timeout:
        raise ParamError("study: another one is running in this project; wait for it, or stop it first") from None


def _run(experiment: Experiment, code: str) -> Result:
    folder, copy = KEPT / experiment.name, copy_project()
    before = kept(experiment, code, any_code=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    ledger = folder / "ledger.csv"
    ledger.unlink(missing_ok=True)
    # An experiment of that name on this commit would stop the new one.
    reference = f"refs/exps/{commit()[:2]}/{commit()[2:]}/{experiment.name}"
    _git("update-ref", "-d", reference, at=copy)
    words = [sys.executable, "-m", "dvc", "exp", "run", "--name", experiment.name]
    for override in experiment.overrides:
        words += ["--set-param", override]
    environment = os.environ | {
        "LOOKALIKE_LEDGER": str(ledger.resolve()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    with (folder / LOG).open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [*words, "evaluate"], cwd=copy, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if done.returncode:
        raise RunFailed(last_words((folder / LOG).read_text(encoding="utf-8", errors="replace")))
    for file in FILES:
        source = f"artifacts/{experiment.params.data.name}/{file}" if "/" in file else file
        shutil.copy2(copy / source, folder / Path(file).name)
    _git("fetch", "--quiet", str(copy), f"+{reference}:{reference}")  # `dvc exp show` lists it
    seconds = seconds_of(ledger, finetunes=bool(experiment.params.finetunes))
    if seconds is None and before is not None:
        seconds = before.seconds
    result = Result(key_of(experiment, code), seconds, machine(), versions(), folder)
    text = {key: value for key, value in asdict(result).items() if key != "folder"} | {
        "asked": identity(experiment.params)
    }
    write_bytes(folder / RESULT, (json.dumps(text, indent=2) + "\n").encode())
    return result


def last_words(log: str) -> str:
    """The pipeline's own error line, or DVC's, or the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for start in ("error: ", "ERROR: "):
        own = [line.removeprefix(start) for line in lines if line.startswith(start)]
        if own:
            return own[-1] if start == "error: " else own[0]
    return lines[-1] if lines else "it ended without a word"


def seconds_of(ledger: Path, *, finetunes: bool) -> float | None:
    """Of the stages that are the row's own; None where the head, or one of the row's networks, was not trained now."""
    try:
        rows = list(csv.DictReader(ledger.read_text(encoding="utf-8").splitlines()))
    except OSError:
        return None
    own = [float(row["seconds"]) for row in rows if row["stage"].partition("@")[0] in OF_THE_ROW]
    stages = {row["stage"].partition("@")[0] for row in rows}
    trained = {"train", "finetune"} if finetunes else {"train"}
    return round(sum(own), 1) if trained <= stages else None


def versions(names: Iterable[str] = ("torch", "timm", "dvc")) -> str:
    own = f"Python {sys.version.split()[0]}"
    return ", ".join([own, *(f"{name} {version(name)}" for name in names)])


def commit() -> str:
    """
    Raises:
        ParamError: no repository, or no commit in it.
    """
    try:
        return _git("rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise ParamError(
            "study runs experiments of DVC, which need a git repository with a commit: "
            "clone the project, or run `git init && git add -A && git commit -m start`"
        ) from None


def copy_project() -> Path:
    """A clone in build/studies/ on the same commit, with the working tree's files and DVC's cache."""
    from dvc.repo import Repo

    copy, top = KEPT / "project", Path.cwd()
    if not (copy / ".git").is_dir():
        shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _git("clone", "--quiet", "--no-checkout", str(top), str(copy))
        for key, value in (("user.name", "study"), ("user.email", "study@localhost")):
            _git("config", key, value, at=copy)
    if _git("rev-parse", "HEAD", at=copy) != commit() or not (copy / "dvc.yaml").exists():
        _git("fetch", "--quiet", str(top), "HEAD", at=copy)
        _git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", at=copy)
    _git("reset", "--quiet", at=copy)
    wanted = _listed(top)
    for name in wanted:
        _renew(top / name, copy / name)
    for name in _listed(copy) - wanted:
        (copy / name).unlink(missing_ok=True)
    with Repo(top) as repo:
        cache = repo.cache.local.path
    (copy / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
    return copy


def _listed(top: Path) -> set[str]:
    """Files that git sees and that are there; the tables that studies write are none of an experiment's."""
    names = _git("ls-files", "-co", "--exclude-standard", "-z", at=top).split("\0")
    return {name for name in names if name and not name.startswith(f"{FOLDER}/") and (top / name).is_file()}


def _renew(source: Path, target: Path) -> None:
    """Copy what differs; what does not keeps its time, by which DVC knows that it need not look."""
    if not target.is_file() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _git(*words: str, at: Path = Path()) -> str:
    return subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=True).stdout.strip()

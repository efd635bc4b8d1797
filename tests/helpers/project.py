"""A copy of this project in a folder of its own, small enough for a real `dvc repro` in a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

TOP = Path(__file__).parents[2]


def copy_project(folder: Path, **changes: object) -> Path:
    """Copy the working tree as git sees it, set params (`head__loss` is head.loss) and commit. No artifacts come."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name == "dvc.lock" or not (TOP / name).is_file():
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, target)
    set_params(folder, **changes)
    call(folder, "git", "init", "-q", "-b", "main")
    call(folder, "git", "config", "user.name", "test")
    call(folder, "git", "config", "user.email", "test@example.com")
    commit(folder, "start")
    return folder


def set_params(folder: Path, **changes: object) -> None:
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)


def commit(folder: Path, message: str) -> None:
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", message)


def call(folder: Path, *words: str, code: int = 0) -> str:
    """Run a command of the virtual environment in `folder`; its output, with the exit code checked."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "LOOKALIKE_CACHE": str(folder.parent / "cache"), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, timeout=3600)
    assert done.returncode == code, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr

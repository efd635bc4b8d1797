"""A clone of the project in build/studies/project: the commit, the working tree's files, and DVC's cache."""

import copy as copying
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.repository import git, head_commit
from pipeline.studies.settings import FOLDER

BUILD = Path("build/studies")


def copy_project(copy: Path = BUILD / "project") -> Path:
    """Make or renew the copy."""
    from dvc.repo import Repo

    head = head_commit()

    top = Path.cwd()
    if not (copy / ".git").is_dir():
        shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        git("clone", "--quiet", "--no-checkout", str(top), str(copy))
        for key, value in (("user.name", "study"), ("user.email", "study@localhost")):
            git("config", key, value, at=copy)
    if git("rev-parse", "HEAD", at=copy) != head or not (copy / "dvc.yaml").exists():
        git("fetch", "--quiet", str(top), "HEAD", at=copy)
        git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", at=copy)
    git("reset", "--quiet", at=copy)
    wanted = _listed(top)
    for name in wanted:
        _renew(top / name, copy / name)
    for name in _listed(copy) - wanted:
        (copy / name).unlink(missing_ok=True)
    with Repo(str(top)) as repo:
        cache = repo.cache.local.path
    config = f"[core]\n    analytics = false\n    check_update = false\n[cache]\n    dir = {cache}\n"
    (copy / ".dvc/config.local").write_text(config, encoding="utf-8")
    return copy


def write_params(folder: Path, values: Mapping[str, Any]) -> None:
    """Set params.yaml in `folder` to `values`; the comments of what stays are kept, for `dvc exp apply`."""
    yaml, path = YAML(), folder / "params.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    _set(document, values)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)


def _set(document: Any, values: Mapping[str, Any]) -> None:
    for key in [key for key in document if key not in values]:
        del document[key]
    for key, value in values.items():
        known = document.get(key)
        if isinstance(value, Mapping) and value and isinstance(known, Mapping) and known:
            _set(known, value)
        elif key not in document or known != value:
            document[key] = copying.deepcopy(value)


def _listed(top: Path) -> set[str]:
    """Files that git sees and that are there, but for the tables that studies write."""
    names = git("ls-files", "-co", "--exclude-standard", "-z", at=top).split("\0")
    return {name for name in names if name and not name.startswith(f"{FOLDER}/") and (top / name).is_file()}


def _renew(source: Path, target: Path) -> None:
    """Copy a file that differs; the others keep their time, by which DVC knows them unchanged."""
    if not target.is_file() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)

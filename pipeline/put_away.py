"""Results of other data sets, brought back from DVC's cache.

`dvc exp run -S data.name=X` and `dvc exp apply` remove outputs that dvc.yaml does not name with the data set of the
moment: those of every other one (dvc/repo/checkout.py, `_remove_unused_links`). DVC's cache keeps them, and its
run-cache knows what each stage was run on and what it wrote.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.paths import ARTIFACTS

Files = dict[str, str]  # path -> md5


@dataclass(frozen=True)
class StageRun:
    """An entry of the run-cache, as far as it lies below artifacts/."""

    deps: Files
    outs: list[dict[str, Any]]  # as in dvc.lock

    @property
    def written(self) -> Files:
        return {out["path"]: out["md5"] for out in self.outs}


def restore_data_sets() -> list[str]:
    """Bring back each data set that has run here and has nothing in artifacts/ now; their names.

    Of each: what its last `prepare` wrote, and the last output of every stage that was run on that, or on what it led
    to. Outside a DVC repository, or without its cache, nothing happens.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.output import loadd_from
    from dvc.repo import Repo
    from dvc.stage import Stage

    try:
        repo = Repo()
    except NotDvcRepoError:
        return []
    with repo, repo.lock:
        runs = list(_runs(Path(repo.stage_cache.cache_dir)))
        names = sorted({Path(path).parts[1] for run in runs for path in run.written})
        restored = []
        for name in names:
            if any(path.is_file() for path in (ARTIFACTS / name).rglob("*")):
                continue
            try:
                for out in loadd_from(Stage(repo), [dict(out) for out in consistent_outs(runs, name)]):
                    out.checkout(force=True)
            except (DvcException, OSError):  # no longer in the cache: as if it had not run
                continue
            if any(path.is_file() for path in (ARTIFACTS / name).rglob("*")):
                restored.append(name)
    return restored


def announce_restored() -> None:
    """Bring data sets back, and say which."""
    if names := restore_data_sets():
        print(f"brought back from DVC's cache: {', '.join(names)}")


def consistent_outs(runs: list[StageRun], name: str) -> list[dict[str, Any]]:
    """The last outputs of the data set that belong together. `runs`: the last first."""
    folder = (ARTIFACTS / name).as_posix() + "/"
    waiting = [run for run in runs if any(path.startswith(folder) for path in run.written)]
    files: Files = {}
    outs: list[dict[str, Any]] = []
    while ready := next((run for run in waiting if _follows(run, files)), None):
        waiting.remove(ready)
        files |= ready.written
        outs += ready.outs
    return outs


def _follows(run: StageRun, files: Files) -> bool:
    """Was it run on `files`, and is what it wrote not among them yet?"""
    return run.deps.items() <= files.items() and not run.written.keys() & files.keys()


def _runs(folder: Path) -> Iterator[StageRun]:
    entries = [path for path in folder.glob("??/*/*") if path.is_file()]
    for path in sorted(entries, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            entry = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
            outs = [out for out in entry["outs"] if _below_artifacts(out["path"]) and "md5" in out]
            deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", []) if _below_artifacts(dep["path"])}
        except Exception:  # DVC's own file, in a form that is not ours to know
            continue
        if outs:
            yield StageRun(deps, outs)


def _below_artifacts(path: str) -> bool:
    return path.startswith(f"{ARTIFACTS.as_posix()}/") and len(Path(os.path.normpath(path)).parts) > 2

"""The runs that DVC knows: workspace, commits and experiments, each with the metrics of its own params only."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from pipeline.repository import dvc_errors, head_commit
from pipeline.runs.lock import METRICS, PARAMS, flat, is_result
from pipeline.runs.query_scores import WORKSPACE

FINISHED, NOT_RUN = "", "not run"


@dataclass(frozen=True)
class Run:
    name: str  # workspace, an experiment, a branch or a commit
    revision: str  # by which DVC finds its files
    state: str  # FINISHED, NOT_RUN, or DVC's running, queued, failed
    params: dict[str, Any]  # dotted keys
    metrics: dict[str, Any] = field(default_factory=dict)  # dotted keys; empty unless FINISHED


def list_runs(*, all_commits: bool = False) -> list[Run]:
    """The workspace, then each commit (the last, or all) with its experiments, newest first.

    A commit whose params and metrics an earlier row has already is left out.

    Raises:
        ParamError: no git or DVC repository, or DVC cannot read it.
    """
    head_commit()
    with dvc_errors("cannot list the runs"):
        from dvc.repo import Repo

        with Repo() as repo:
            states = repo.experiments.show(all_commits=all_commits)
    runs: list[Run] = []
    for state in states:
        own = _read(state.name or _short(state.rev), state.rev)
        if own is not None and (state.rev == WORKSPACE or (own.state == FINISHED and not _known(own, runs))):
            runs.append(own)
        for each in state.experiments or ():
            tip = each.revs[0]
            executed = each.executor.state if each.executor else "success"
            name = tip.name or each.name or _short(tip.rev)
            found = _read(name, tip.rev, state="" if executed == "success" else executed)
            runs += [found] if found is not None else []
    return runs


def _short(revision: str) -> str:
    return revision if revision == WORKSPACE else revision[:7]


def _known(run: Run, runs: list[Run]) -> bool:
    return any(run.params == other.params and run.metrics == other.metrics for other in runs)


def _read(name: str, revision: str, *, state: str = FINISHED) -> Run | None:
    """None if the revision has no readable params.yaml."""
    texts = dict(_files(revision))
    try:
        params = YAML(typ="safe").load(texts[PARAMS])
        lock = YAML(typ="safe").load(texts["dvc.lock"]) if "dvc.lock" in texts else {}
        metrics = json.loads(texts[METRICS]) if METRICS in texts else None
    except (KeyError, YAMLError, ValueError):
        return None
    if not isinstance(params, dict):
        return None
    if state == FINISHED and (metrics is None or not is_result(texts[METRICS], params, lock or {})):
        state = NOT_RUN
    return Run(name, revision, state, flat(params), flat(metrics) if metrics and state == FINISHED else {})


def _files(revision: str) -> Iterator[tuple[str, bytes]]:
    for name in (PARAMS, "dvc.lock", METRICS):
        try:
            if revision == WORKSPACE:
                yield name, Path(name).read_bytes()
            else:
                yield name, git_bytes(revision, name)
        except (OSError, subprocess.CalledProcessError):
            continue


def git_bytes(revision: str, name: str) -> bytes:
    return subprocess.run(["git", "show", f"{revision}:./{name}"], capture_output=True, check=True).stdout

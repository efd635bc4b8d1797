"""Runs as a table: their scores beside baseline and chance, and the params in which they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from data.errors import did_you_mean
from heads.metrics.intervals import mean_interval
from pipeline.errors import ParamError
from pipeline.runs.query_scores import QueryScores, compare
from pipeline.runs.run_list import FINISHED, Run

PARAMS = ("head.features", "head.model", "head.loss")
SCORES = ("top2", "baseline.top2", "chance.top2", "recall_at_1", "baseline.recall_at_1")
TITLES = {"head.features": "features", "head.model": "head", "head.loss": "loss", "data.name": "data"}
LOWER_IS_BETTER = ("loss", "eer")
# Keys that decide a result; a difference elsewhere is not shown.
DECIDING = (
    "seed",
    "data.",
    "backbones.",
    "features.dtype",
    "concatenations.",
    "fusions.",
    "finetunes.",
    "head.",
    "scores.queries",
)
PROTOCOL = "protocol"


@dataclass(frozen=True)
class Cell:
    """A value with its interval, as far as there is one; `best` of its column among comparable runs."""

    value: Any = None
    half_width: float | None = None
    kind: Literal["text", "share", "loss", "difference"] = "text"
    best: bool = False

    @property
    def clear(self) -> bool:
        """Of a difference: its interval is clear of zero."""
        return self.kind == "difference" and abs(self.value) > (self.half_width or 0.0)


@dataclass(frozen=True)
class Table:
    columns: list[str]  # titles
    rows: list[list[Cell]]
    notes: list[str]


def run_table(
    runs: Sequence[Run],
    *,
    columns: Sequence[str] = (),
    sort: str | None = None,
    against: str | None = None,
    read: Callable[[Run], QueryScores] | None = None,
) -> Table:
    """
    Args:
        columns: keys of metrics.json or params.yaml; none: the usual scores, and the params that differ.
        sort: a key; scores from the best on.
        against: name of the run from which the others are subtracted, query by query.
        read: the scores of a run's queries, for `against` and intervals; raises ParamError if they are not here.

    Raises:
        ParamError: an unknown key or run.
    """
    keys = list(columns) or [*differing(runs), *SCORES]
    for key in [*keys, *([sort] if sort else [])]:
        _check_key(key, runs)
    runs = sorted_runs(runs, sort) if sort else list(runs)
    queries = _read_all(runs, read) if against else {}
    if against and against not in {run.name for run in runs}:
        raise ParamError(f"no run '{against}' in the table{did_you_mean(against, [run.name for run in runs])}")
    measured = [key for key in keys if any(key in run.metrics for run in runs) and key != PROTOCOL]
    body = {key: [_cell(run, key, queries.get(run.name)) for run in runs] for key in keys}
    for key in measured:
        body[key] = _mark_best(body[key], key, runs)
    compared = [key for key in measured if against and any(key in scores.scores for scores in queries.values())]
    for key in compared:
        body[f"{key} - {against}"] = [_difference(run, key, queries, str(against)) for run in runs]
    with_state = any(run.state != FINISHED for run in runs)
    titles = ["run", *(["state"] if with_state else []), *(title(key) for key in body)]
    rows = [
        [Cell(run.name), *([Cell(run.state)] if with_state else []), *(cells[place] for cells in body.values())]
        for place, run in enumerate(runs)
    ]
    return Table(titles, rows, _notes(runs, queries, against))


def differing(runs: Sequence[Run]) -> list[str]:
    """Params to show: features, head, loss, and those in which the runs differ; with the protocol, if that does."""
    params = [run.params for run in runs]
    keys = dict.fromkeys(key for each in params for key in each if key.startswith(DECIDING))
    used = {name for each in params for name in _feature_sets(each)}
    found = []
    for key in keys:
        section, _, rest = key.partition(".")
        if section in ("backbones", "concatenations", "fusions", "finetunes") and rest.partition(".")[0] not in used:
            continue
        if key not in PARAMS and len({repr(each.get(key)) for each in params}) > 1:
            found.append(key)
    data = [key for key in found if key.startswith("data.")]
    protocols = {run.metrics[PROTOCOL] for run in runs if PROTOCOL in run.metrics}
    return [*data, *([PROTOCOL] if len(protocols) > 1 else []), *PARAMS, *(key for key in found if key not in data)]


def sorted_runs(runs: Sequence[Run], key: str) -> list[Run]:
    """Scores from the best on, params in ascending order; runs without a value last."""
    having = [run for run in runs if _value(run, key) is not None]
    is_score = any(key in run.metrics for run in runs)
    numbers = all(isinstance(_value(run, key), int | float) for run in having)
    order = sorted(having, key=lambda run: _value(run, key) if numbers else str(_value(run, key)))
    if is_score and not lower_is_better(key):
        order = sorted(having, key=lambda run: _value(run, key), reverse=True)
    return [*order, *(run for run in runs if _value(run, key) is None)]


def title(key: str) -> str:
    """Of a column."""
    if key in TITLES:
        return TITLES[key]
    section, _, name = key.rpartition(".")
    name = name.replace("recall_at_", "recall@").replace("top", "top-", 1)
    return (
        f"{section} {name}"
        if section in ("baseline", "chance")
        else f"{section}.{name}".removeprefix("head.").strip(".")
    )


def lower_is_better(key: str) -> bool:
    return key.endswith(LOWER_IS_BETTER)


def _feature_sets(params: Mapping[str, Any]) -> set[str]:
    features = str(params.get("head.features"))
    parts: list[str] = []
    for section in ("concatenations", "fusions"):
        parts += params.get(f"{section}.{features}.features") or []
    return {features, *parts}


def _value(run: Run, key: str) -> Any:
    return run.metrics[key] if key in run.metrics else run.params.get(key)


def _check_key(key: str, runs: Sequence[Run]) -> None:
    known = dict.fromkeys(name for run in runs for name in (*run.metrics, *run.params))
    if key not in known and key not in (*SCORES, *PARAMS):
        raise ParamError(f"no score or param '{key}'{did_you_mean(key, known)}")


def _cell(run: Run, key: str, scores: QueryScores | None) -> Cell:
    value = _value(run, key)
    if key not in run.metrics or not isinstance(value, float):
        return Cell(str(value)[:8] if key == PROTOCOL and value else value)
    kind = "loss" if key.endswith("loss") else "share"
    if scores is not None and key in scores.scores:
        clusters = np.unique(scores.clusters.astype(str), return_inverse=True)[1]
        return Cell(value, mean_interval(scores.scores[key], clusters=clusters).half_width, kind)
    return Cell(value, run.metrics.get(f"{key}_ci"), kind)


def _mark_best(cells: list[Cell], key: str, runs: Sequence[Run]) -> list[Cell]:
    """The best of each protocol, where there are several runs of it; not of baselines and chance."""
    if key.startswith(("baseline.", "chance.")) or key.endswith(("_ci", "queries")):
        return cells
    protocols = [run.metrics.get(PROTOCOL) for run in runs]
    marked = list(cells)
    for protocol in set(protocols):
        places = [i for i, cell in enumerate(cells) if protocols[i] == protocol and cell.value is not None]
        if len(places) < 2:
            continue
        best = (min if lower_is_better(key) else max)(cells[i].value for i in places)
        for i in places:
            if cells[i].value == best:
                marked[i] = replace(cells[i], best=True)
    return marked


def _read_all(runs: Sequence[Run], read: Callable[[Run], QueryScores] | None) -> dict[str, QueryScores]:
    found = {}
    for run in runs:
        if read is not None and run.state == FINISHED:
            try:
                found[run.name] = read(run)
            except ParamError:
                continue  # its cells stay empty
    return found


def _difference(run: Run, key: str, queries: Mapping[str, QueryScores], against: str) -> Cell:
    if run.name == against or run.name not in queries or against not in queries:
        return Cell()
    try:
        change = compare(queries[against], queries[run.name]).change.get(key)
    except ParamError:  # another protocol, or other queries
        return Cell()
    if change is None:
        return Cell()
    return Cell(change.mean, change.half_width, "difference")


def _notes(runs: Sequence[Run], queries: Mapping[str, QueryScores], against: str | None) -> list[str]:
    notes = ["Per cent; ± is the half width of the 95 % interval over queries and seeds."]
    if len(runs) > 1:
        notes.append("Bold: the best of its column on the same protocol.")
    sizes = {f"{len(each.ids):,} queries (protocol {each.protocol[:8]})": None for each in queries.values()}
    if sizes:
        notes.append(f"Measured on {', '.join(sizes)}.")
    if against:
        notes.append(f"Differences to {against} are paired, query by query; *: the interval is clear of zero.")
        lacking = [run.name for run in runs if run.state == FINISHED and run.name not in queries]
        if lacking:
            notes.append(f"Without intervals, for their scores are not in DVC's cache: {', '.join(lacking)}.")
    if unfinished := [run.name for run in runs if run.state != FINISHED]:
        notes.append(f"Without scores, for they are not of these params: {', '.join(unfinished)}.")
    return notes

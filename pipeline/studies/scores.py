"""A score of a row out of its experiments' files: with interval, baseline, chance and the trivial answer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.errors import did_you_mean
from data.files.atomic import sha256_bytes
from heads.metrics.intervals import Interval, mean_interval
from pipeline.errors import ParamError
from pipeline.runs.query_scores import BASELINE, QueryScores, compare, parse_queries
from pipeline.shared.csv_text import read_csv_dicts

DECISIONS = ("accuracy", "pair_accuracy", "balanced_accuracy")  # yes or no: the trivial answer is a constant


@dataclass(frozen=True)
class Score:
    ours: float
    half_width: float | None = None  # of the 95 % interval, over queries and seeds
    baseline: float | None = None
    chance: float | None = None
    trivial: float | None = None


@dataclass(frozen=True)
class MeasuredOn:
    """What a row was scored on; rows with other values answer another question."""

    queries: int
    protocol: str  # hash, 16 hex digits; of several folds, the hash of their hashes


def measured_on(folders: Sequence[Path]) -> MeasuredOn:
    runs = _runs(folders)
    return MeasuredOn(sum(len(run.ids) for run in runs), joined_protocol([run.protocol for run in runs]))


def joined_protocol(hashes: Sequence[str]) -> str:
    return (hashes[0] if len(hashes) == 1 else sha256_bytes("+".join(hashes).encode()))[:16]


def score_of(folders: Sequence[Path], metric: str) -> Score:
    """`metric` of one experiment, or of the folds of one row together.

    Raises:
        ParamError: there is no such score; names the nearest.
    """
    if "/" not in metric:
        return _of_metrics(folders, metric)
    tables = [_table(folder) for folder in folders]
    for table in tables:
        if metric not in table:
            raise ParamError(f"no score '{metric}' in scores/table.csv{did_you_mean(metric, table)}")
    if len(folders) == 1:
        return _of_table_row(tables[0][metric])
    return _pooled(folders, [table[metric] for table in tables], metric)


def difference(after: Sequence[Path], before: Sequence[Path], metric: str) -> tuple[Interval, int] | None:
    """A row minus another on the same queries, with its paired interval, and the number of queries. Folds together.

    None if `metric` is no score of single queries of the whole test split.

    Raises:
        ParamError: the rows were scored on different things.
    """
    part, _, score = metric.rpartition("/")
    if part not in ("", "test"):
        return None
    first, second = (side_by_side(_runs(folders)) for folders in (before, after))
    if score not in first.scores or score not in second.scores:
        return None
    return compare(first, second).change[score], len(first.ids)


def side_by_side(runs: Sequence[QueryScores]) -> QueryScores:
    """The folds of one row as one run, their queries side by side. Seed `s` of every fold is seed `s`."""
    names = [name for name in runs[0].scores if all(name in run.scores for run in runs)]
    return replace(
        runs[0],
        protocol="+".join(run.protocol for run in runs),
        ids=np.concatenate([run.ids for run in runs]),
        clusters=np.concatenate([run.clusters for run in runs]),
        scores={name: np.concatenate([run.scores[name] for run in runs], axis=1) for name in names},
    )


def _runs(folders: Sequence[Path], model: str = "head") -> list[QueryScores]:
    return [
        parse_queries((folder / "queries.parquet").read_bytes(), name=folder.name, model=model) for folder in folders
    ]


def _table(folder: Path) -> dict[str, dict[str, str]]:
    return {f"{row['subset']}/{row['score']}": row for row in read_csv_dicts(folder / "table.csv")}


def _of_table_row(row: dict[str, str]) -> Score:
    score = row["score"].removeprefix("frozen ")
    chance, trivial = _float(row["chance"]), None
    if score in DECISIONS:
        # Of a yes-or-no score the table's last column is the best constant answer; guessing is right half the time.
        trivial, chance = (0.5 if score == "pair_accuracy" else chance), 0.5
    return Score(float(row["head"]), _float(row["half_width"]), _float(row["baseline"]), chance, trivial)


def _pooled(folders: Sequence[Path], rows: Sequence[dict[str, str]], metric: str) -> Score:
    """The folds' queries as one run's; a `metric` that is no score of single queries by `_mean`."""
    part, _, score = metric.partition("/")
    runs = _runs(folders)
    run, baseline = side_by_side(runs), side_by_side(_runs(folders, BASELINE))
    whole = _mean([_of_table_row(row) for row in rows], [len(one.ids) for one in runs])
    if part != "test" or score not in run.scores:
        return whole
    clusters = np.unique(run.clusters.astype(str), return_inverse=True)[1]
    interval = mean_interval(run.scores[score], clusters=clusters)
    mean = float(baseline.scores[score].mean())
    return replace(whole, ours=interval.mean, half_width=interval.half_width, baseline=mean)


def _mean(scores: Sequence[Score], queries: Sequence[int]) -> Score:
    """The mean over folds, weighted by their queries. No query is in two folds, so the variances of the folds add up;
    a column that a fold lacks is left out.
    """
    weights = np.array(queries) / sum(queries)

    def column(name: str, norm: Callable[[np.ndarray], np.floating] = np.sum) -> float | None:
        values = [getattr(score, name) for score in scores]
        return None if None in values else float(norm(weights * values))

    ours = float(weights @ [score.ours for score in scores])
    return Score(ours, column("half_width", np.linalg.norm), column("baseline"), column("chance"), column("trivial"))


def _of_metrics(folders: Sequence[Path], metric: str) -> Score:
    """A number of metrics.json, with those beside it where its section has them (`ci`, `baseline`, `chance`)."""
    found = []
    for folder in folders:
        section = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        *parents, last = metric.split(".")
        for parent in parents:
            section = section.get(parent, {}) if isinstance(section, dict) else {}
        if not isinstance(section, dict) or not isinstance(section.get(last), int | float):
            raise ParamError(f"no number '{metric}' in metrics.json")
        beside = section if parents else {}
        found.append(Score(float(section[last]), *(beside.get(name) for name in ("ci", "baseline", "chance"))))
    if len(found) == 1:
        return found[0]
    return Score(float(np.mean([one.ours for one in found])))


def _float(text: str) -> float | None:
    return float(text) if text else None

"""`studies/<name>.csv`: per row and score the result of this machine, or the one that another machine left there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from data.files.atomic import write_bytes
from pipeline.errors import ParamError
from pipeline.shared.csv_text import csv_of_dicts, read_csv_dicts
from pipeline.studies.plan import PlannedRow
from pipeline.studies.running import Result
from pipeline.studies.scores import difference, measured_on, score_of

DIGITS = 4
Results = Mapping[tuple[str, str], "ResultRow"]  # by (row, metric)


@dataclass(frozen=True)
class ResultRow:
    """None where there is no value. Scores are shares (0.828), losses what they are."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    row: str
    metric: str
    published: float | None = None
    ours: float | None = None
    half_width: float | None = None  # of the 95 % interval of ours
    baseline: float | None = None
    chance: float | None = None
    trivial: float | None = None
    against: str | None = None
    difference: float | None = None  # this row minus `against`, on the same queries
    difference_half_width: float | None = None
    queries: int | None = None  # of the test split, all folds together
    protocol: str | None = None  # hash of what it was measured on
    seconds: float | None = None  # of the row's own stages; data and frozen features are shared
    settings: str | None = None  # hash of the params of the row when this came out
    code: str | None = None  # hash of the code, 12 hex digits
    machine: str | None = None
    versions: str | None = None
    missing: str | None = None  # why there is no number


def result_rows(planned: PlannedRow, results: Sequence[Result], *, against: Sequence[Result] | None) -> list[ResultRow]:
    """One per score of a row that has run.

    Raises:
        ParamError: a score that the run does not have, or a comparison that cannot be made.
    """
    folders = [result.folder for result in results]
    known = [result.seconds for result in results if result.seconds is not None]
    total = round(sum(known), 1) if len(known) == len(results) else None
    on = measured_on(folders)
    rows = []
    for compare in planned.row.compare:
        score = score_of(folders, compare.metric)
        row = ResultRow(
            row=planned.row.name,
            metric=compare.metric,
            published=compare.published,
            ours=_round(score.ours),
            half_width=_round(score.half_width),
            baseline=_round(score.baseline),
            chance=_round(score.chance),
            trivial=_round(score.trivial),
            queries=on.queries,
            protocol=on.protocol,
            seconds=total,
            settings=planned.settings,
            code=results[0].code[:12],
            machine=results[0].machine,
            versions=results[0].versions,
        )
        rows.append(row if against is None else _compared(row, planned.row.against, folders, against))
    return rows


def _compared(row: ResultRow, name: str | None, folders: Sequence[Path], against: Sequence[Result]) -> ResultRow:
    """`row` with its difference to the row `name`; as it is if that was scored under another protocol."""
    try:
        found = difference(folders, [result.folder for result in against], row.metric)
    except ParamError:
        return row
    if found is None:
        return row
    change, _ = found
    return replace(row, against=name, difference=_round(change.mean), difference_half_width=_round(change.half_width))


def rows_without_result(planned: PlannedRow, why: str) -> list[ResultRow]:
    return [
        ResultRow(planned.row.name, compare.metric, compare.published, settings=planned.settings, missing=why)
        for compare in planned.row.compare
    ]


def write_results(path: Path, rows: Iterable[ResultRow]) -> None:
    write_bytes(path, csv_of_dicts([asdict(row) for row in rows]))


def read_results(path: Path) -> dict[tuple[str, str], ResultRow]:
    """By (row, metric); empty if there is no file yet.

    Raises:
        ParamError: a file of another version, or one that was edited by hand.
    """
    if not path.exists():
        return {}
    try:
        rows = [
            TypeAdapter(ResultRow).validate_python({name: text or None for name, text in row.items()})
            for row in read_csv_dicts(path)
        ]
    except ValidationError:
        raise ParamError(f"{path}: not a table of this version's `study`; remove it and run `study` again") from None
    return {(row.row, row.metric): row for row in rows}


def earlier_rows(planned: PlannedRow, earlier: Results) -> list[ResultRow] | None:
    """A row's results from the file, with today's published figures; None if the row has changed or one is missing."""
    rows = []
    for compare in planned.row.compare:
        row = earlier.get((planned.row.name, compare.metric))
        if row is None or row.ours is None or row.settings != planned.settings:
            return None
        rows.append(replace(row, published=compare.published))
    return rows


def earlier_reason(planned: PlannedRow, earlier: Results) -> str:
    """Why an earlier attempt at the same row had no number."""
    row = earlier.get((planned.row.name, planned.row.compare[0].metric))
    return (row.missing if row and row.settings == planned.settings else None) or "not run yet"


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)

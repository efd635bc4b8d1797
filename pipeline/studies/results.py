"""`studies/<name>.csv`: one line a row and score, results of this machine and those that others left there."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from data.files.atomic import write_bytes
from pipeline.errors import ParamError
from pipeline.studies.plan import Planned
from pipeline.studies.running import Result
from pipeline.studies.scores import difference, number
from pipeline.studies.settings import Compare

DIGITS = 4


@dataclass(frozen=True)
class Line:
    """None where there is nothing to say. Scores are shares (0.828), losses what they are."""

    row: str
    metric: str
    published: float | None = None
    ours: float | None = None
    half: float | None = None  # of the 95 % interval of ours
    no_head: float | None = None
    chance: float | None = None
    trivial: float | None = None
    against: str | None = None
    difference: float | None = None  # this row minus the one it is against, on the same queries
    difference_half: float | None = None
    queries: int | None = None  # of the difference
    seconds: float | None = None  # of the row's own stages; data and frozen features are shared
    settings: str | None = None  # what the row asked for when this came out
    machine: str | None = None
    versions: str | None = None
    missing: str | None = None  # why there is no number


def lines_of(planned: Planned, results: Sequence[Result], *, against: Sequence[Result] | None) -> list[Line]:
    """The lines of a row that has run.

    Raises:
        ParamError: a score that the run does not have, or a comparison that cannot be made.
    """
    folders = [result.folder for result in results]
    seconds = [result.seconds for result in results]
    total = None if None in seconds else round(sum(seconds), 1)
    lines = []
    for compare in planned.row.compare:
        found = number(folders, compare.metric)
        line = Line(
            row=planned.row.name,
            metric=compare.metric,
            published=compare.published,
            **{name: _round(value) for name, value in asdict(found).items()},
            seconds=total,
            settings=planned.settings,
            machine=results[0].machine,
            versions=results[0].versions,
        )
        if against is not None:
            line = replace(line, **_paired(planned, results, against, compare))
        lines.append(line)
    return lines


def _paired(planned: Planned, results: Sequence[Result], against: Sequence[Result], compare: Compare) -> dict:
    """The fields of a difference; none where there is none, or the other row was scored under an older protocol."""
    sides = [[result.folder for result in side] for side in (results, against)]
    try:
        found = difference(*sides, compare.metric)
    except ParamError:
        return {}
    if found is None:
        return {}
    change, queries = found
    numbers = {"difference": _round(change.mean), "difference_half": _round(change.half_width), "queries": queries}
    return {"against": planned.row.against, **numbers}


def absent(planned: Planned, why: str) -> list[Line]:
    """The lines of a row that has not run."""
    return [
        Line(planned.row.name, compare.metric, compare.published, settings=planned.settings, missing=why)
        for compare in planned.row.compare
    ]


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [item.name for item in fields(Line)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    write_bytes(path, text.getvalue().encode())


def read_lines(path: Path) -> dict[tuple[str, str], Line]:
    """(row, metric) -> line; empty where there is no file yet.

    Raises:
        ParamError: a file of another version, or one that was edited by hand.
    """
    if not path.exists():
        return {}
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        lines = [Line(**{name: _parse(name, row[name]) for name in row}) for row in rows]
    except (TypeError, ValueError, KeyError):
        raise ParamError(f"{path}: not a table of this version's `study`; remove it, and it is written anew") from None
    return {(line.row, line.metric): line for line in lines}


def still_true(line: Line | None, planned: Planned, compare: Compare) -> Line | None:
    """An older line with a number, if the row has not changed since; with the published figure of today."""
    if line is None or line.ours is None or line.settings != planned.settings:
        return None
    return replace(line, published=compare.published)


def kept_lines(planned: Planned, older: Mapping[tuple[str, str], Line]) -> list[Line] | None:
    """A row's lines from the file, if all are still true."""
    found = [still_true(older.get((planned.row.name, each.metric)), planned, each) for each in planned.row.compare]
    return None if None in found else found


def why_not(planned: Planned, older: Mapping[tuple[str, str], Line]) -> str:
    """Why an older attempt at the same row had no number."""
    line = older.get((planned.row.name, planned.row.compare[0].metric))
    return (line.missing if line and line.settings == planned.settings else None) or "not asked for yet"


_NUMBERS = {item.name: item.type for item in fields(Line)}


def _parse(name: str, text: str) -> object:
    if name not in _NUMBERS:
        raise KeyError(name)
    if text == "":
        return None
    kind = str(_NUMBERS[name])
    return float(text) if kind.startswith("float") else int(text) if kind.startswith("int") else text


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)

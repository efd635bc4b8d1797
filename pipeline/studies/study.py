"""A study run row by row: what lies here already, what can run, and the table that comes out."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.files.atomic import write_bytes
from pipeline.studies.curve import curve_csv, curve_points, curve_svg
from pipeline.studies.page import study_page
from pipeline.studies.plan import PlannedRow
from pipeline.studies.project_copy import BUILD
from pipeline.studies.requirements import Requirement, fetch, unmet
from pipeline.studies.results import (
    ResultRow,
    Results,
    earlier_reason,
    earlier_rows,
    read_results,
    result_rows,
    rows_without_result,
    write_results,
)
from pipeline.studies.roc import roc_csv, roc_points, roc_svg
from pipeline.studies.running import LOG, Result, RunFailed, find_result, run_experiment
from pipeline.studies.settings import FOLDER, Study

OVERHEAD = 12  # seconds that DVC takes for an experiment whose stages are all cached, about
HERE, NOT_RUN, FAILED, DONE = "here already", "not run", "failed", "done"


@dataclass
class StudyRun:
    """One study on this machine."""

    name: str
    study: Study
    rows: list[PlannedRow]
    gpu: Callable[[], bool]
    reasons: dict[str, str] = field(default_factory=dict)  # row -> why it has no number

    def __post_init__(self) -> None:
        self.earlier = read_results(self.csv)

    @property
    def csv(self) -> Path:
        return FOLDER / f"{self.name}.csv"

    @property
    def page(self) -> Path:
        return FOLDER / f"{self.name}.md"

    def run(
        self,
        wanted: Sequence[PlannedRow],
        *,
        tried: dict[str, Requirement],
        started: Callable[[PlannedRow, int], None] = lambda row, fold: None,
    ) -> Iterator[tuple[PlannedRow, str, str]]:
        """Run what can be run, a row at a time; yields each row, its state and a few words. Tables are kept up to date.

        Args:
            tried: what was fetched, or could not be; of several studies together.
            started: called before each experiment, with the number of the fold.
        """
        for planned in wanted:
            if results_of(planned) is not None:
                yield planned, HERE, ""
                continue
            mirror = planned.experiments[0].params.data.mirror
            lacking = fetch(unmet(planned, gpu=self.gpu), tried=tried, mirror=mirror)
            if lacking:
                self.reasons[planned.row.name] = "; ".join(each.what for each in lacking)
                yield planned, NOT_RUN, self.reasons[planned.row.name]
                continue
            try:
                self._run_row(planned, started)
            except RunFailed as error:
                self.reasons[planned.row.name] = f"failed: {error}"
                yield planned, FAILED, f"{error} (all of it in {BUILD / planned.experiments[-1].name / LOG})"
            else:
                results = self.write()
                own = [results[planned.row.name, each.metric] for each in planned.row.compare]
                yield planned, DONE, ", ".join(f"{row.metric} {row.ours}" for row in own)
        self.write()

    def _run_row(self, planned: PlannedRow, started: Callable[[PlannedRow, int], None]) -> None:
        for fold, experiment in enumerate(planned.experiments):
            if find_result(experiment) is None:
                started(planned, fold)
                run_experiment(experiment)

    def write(self) -> Results:
        """Write the csv and the page. A row's number is the one found here, else the csv's for the same settings."""
        here = {each.row.name: results_of(each) for each in self.rows}
        # The other row of a difference may be of older code; that the protocols agree is checked there.
        others = {each.row.name: results_of(each, any_code=True) for each in self.rows}
        results: dict[tuple[str, str], ResultRow] = {}
        for each in self.rows:
            found = here[each.row.name]
            if found is not None:
                own = result_rows(each, found, against=others.get(each.row.against or ""))
            else:
                reason = self.reasons.get(each.row.name) or earlier_reason(each, self.earlier)
                own = earlier_rows(each, self.earlier) or rows_without_result(each, reason)
            results |= {(row.row, row.metric): row for row in own}
        write_results(self.csv, results.values())
        points = curve_points(self.study, results)
        if points:
            write_bytes(FOLDER / f"{self.name}.curve.csv", curve_csv(points))
            write_bytes(FOLDER / f"{self.name}.curve.svg", curve_svg(self.study, points))
        folders = {name: [one.folder for one in found] for name, found in here.items() if found is not None}
        rocs = roc_points(self.study, folders, FOLDER / f"{self.name}.roc.csv")
        if rocs:
            write_bytes(FOLDER / f"{self.name}.roc.csv", roc_csv(rocs))
            write_bytes(FOLDER / f"{self.name}.roc.svg", roc_svg(self.study, rocs))
        page = study_page(
            self.name,
            self.study,
            results,
            other_protocol=other_protocols(self.rows, results),
            chart=f"{self.name}.curve.svg" if points else "",
            roc=f"{self.name}.roc.svg" if rocs else "",
        )
        write_bytes(self.page, page.encode())
        return results

    def missing_side(self, planned: PlannedRow) -> str | None:
        """The row that this one is compared with query by query, if it has no result on this machine."""
        others = [each for each in self.rows if each.row.name == planned.row.against]
        return next((each.row.name for each in others if results_of(each, any_code=True) is None), None)

    def seconds(self, planned: PlannedRow) -> float | None:
        """About how long a row takes, by the time of an earlier run."""
        row = self.earlier.get((planned.row.name, planned.row.compare[0].metric))
        if row is None or row.seconds is None:
            return None
        return row.seconds + OVERHEAD * len(planned.experiments)


def results_of(planned: PlannedRow, *, any_code: bool = False) -> list[Result] | None:
    """The results of all folds of a row, if all lie here."""
    found = [find_result(experiment, any_code=any_code) for experiment in planned.experiments]
    results = [each for each in found if each is not None]
    return results if len(results) == len(found) else None


def other_protocols(rows: Sequence[PlannedRow], results: Results) -> dict[str, str]:
    """Rows that were measured on something else than most rows with the same `data` settings -> on what, in words."""
    groups: dict[str, dict[str, tuple[int | None, str | None]]] = {}
    for planned in rows:
        row = results.get((planned.row.name, planned.row.compare[0].metric))
        if row is not None and row.ours is not None:
            groups.setdefault(planned.data, {})[planned.row.name] = (row.queries, row.protocol)
    found = {}
    for measured in groups.values():
        counts = Counter(measured.values())
        most = max(counts, key=lambda on: (on[1] is not None, counts[on], on[0] or 0))
        for name, on in measured.items():
            if on != most:
                found[name] = f"was measured on {_on(on)}; rows on the same data without a mark, on {_on(most)}."
    return found


def _on(measured: tuple[int | None, str | None]) -> str:
    queries, protocol = measured
    words = "an unknown number of queries" if queries is None else f"{queries:,} queries"
    return f"{words} (protocol {protocol or 'not recorded'})"


def outdated(rows: Sequence[PlannedRow], results: Results) -> dict[str, str]:
    """Rows whose number is not of today's code, settings or data -> why."""
    marks, found = other_protocols(rows, results), {}
    for planned in rows:
        row = results.get((planned.row.name, planned.row.compare[0].metric))
        if row is None or row.ours is None:
            continue
        why = []
        if row.settings != planned.settings:
            why.append("other settings")
        if row.code is None:
            why.append("code not recorded")
        elif row.code != planned.code[:12]:
            why.append(f"code {row.code}, now {planned.code[:12]}")
        if row.protocol is None:
            why.append("protocol not recorded")
        elif planned.row.name in marks:
            why.append(marks[planned.row.name])
        if why:
            found[planned.row.name] = "; ".join(why)
    return found

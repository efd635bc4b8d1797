"""`python -m pipeline study NAME`: a published report's rows as experiments, our figures beside its own.

python -m pipeline study tll --dry-run                 # what would run, and about how long
python -m pipeline study tll --rows "CLIP triplet"     # some rows; the others stay as they are in the table
python -m pipeline study --all --mirror /data/mirror   # all studies
python -m pipeline study --all --check                 # rows whose number is of other code or data than today's
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.errors import ParamError
from pipeline.params import load_params
from pipeline.repository import head_commit
from pipeline.studies.plan import PlannedRow, plan_row
from pipeline.studies.project_copy import BUILD
from pipeline.studies.requirements import Requirement, unmet
from pipeline.studies.results import earlier_rows
from pipeline.studies.running import LOG
from pipeline.studies.settings import load_study, pick_rows
from pipeline.studies.study import FAILED, NOT_RUN, StudyRun, outdated, results_of
from pipeline.studies.summary import OUT, write_results_page

PARAMS = Path("params.yaml")


def run_studies(
    names: Sequence[str],
    *,
    rows: Sequence[str] = (),
    dry_run: bool = False,
    check: bool = False,
    mirror: str | None = None,
    path: str | None = None,
    weights: str | None = None,
    anyway: bool = False,
) -> int:
    """Run, list or check the studies; the number of rows that failed, or that are outdated.

    Args:
        rows: names of rows; none: all.
        weights: folder of checkpoints that a study names.
        anyway: also rows that need a GPU.

    Raises:
        ParamError: no such study or row, or a place that is not there.
    """
    load_params(PARAMS)  # a wrong word there is reported before anything runs
    head_commit()
    raw = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
    places = {"mirror": mirror, "path": path, "weights": weights}
    _check_places(mirror, path, weights)
    planned = []
    for name in names:
        study = load_study(name)
        every = [plan_row(name, study, row, raw, places=places) for row in study.rows]
        chosen = pick_rows(study, rows)
        one = StudyRun(name, study, every, gpu=lambda: anyway or has_gpu())
        planned.append((one, [row for row in every if row.row in chosen]))
    tried: dict[str, Requirement] = {}
    bad = 0
    for one, wanted in planned:
        print(f"{one.name}: {one.study.title}")
        if check:
            bad += print_outdated(one, wanted)
        elif dry_run:
            print("\n".join(plan_lines(one, wanted)))
        else:
            bad += run_study(one, wanted, tried=tried)
    if not (check or dry_run) and OUT.parent.is_dir():
        write_results_page()
    return bad


def run_study(one: StudyRun, wanted: list[PlannedRow], *, tried: dict[str, Requirement]) -> int:
    """Run what can be run, and print a line per row; the number of rows that failed."""
    failed = 0
    for planned, state, words in one.run(wanted, tried=tried, started=_print_start):
        failed += state == FAILED
        shown = f"{state}: {words}" if state in (FAILED, NOT_RUN) else words or state
        print(f"  {planned.row.name}: {shown}")
    for planned in wanted:
        if results_of(planned) is not None and (other := one.missing_side(planned)):
            print(f"  {planned.row.name}: no difference to '{other}', which has not run here")
    print(f"  wrote {one.page} and {one.csv}")
    return failed


def plan_lines(one: StudyRun, wanted: list[PlannedRow]) -> list[str]:
    """What `study` would do with each row, and about how long it would take."""
    lines, total, unknown = [], 0.0, 0
    for planned in wanted:
        name, requirements = planned.row.name, unmet(planned, gpu=one.gpu)
        missing = [each.what for each in requirements if each.state == "missing"]
        in_table = earlier_rows(planned, one.earlier) is not None
        if results_of(planned) is not None:
            lines.append(f"  here      {name}")
        elif missing:
            lines.append(f"  {'in table' if in_table else 'not here'}  {name}: {'; '.join(missing)}")
        else:
            seconds = one.seconds(planned)
            total, unknown = total + (seconds or 0), unknown + (seconds is None)
            first = "".join(f"; first fetches {each.what}" for each in requirements)
            known = "never ran" if seconds is None and not in_table else _about(seconds)
            lines.append(f"  {'in table' if in_table else 'run     '}  {name}: {known}{first}")
    rest = f" and {unknown} rows of unknown length" if unknown else ""
    return [
        *lines,
        f"  in all {_about(total)}{rest}; data and features that are not in DVC's cache come on top",
        "  (in table: the csv has numbers for the same settings, of another machine or older code)",
    ]


def print_outdated(one: StudyRun, wanted: list[PlannedRow]) -> int:
    """Print the rows whose number is not of today's settings, code or data; how many."""
    found = outdated(wanted, one.earlier)
    for name, why in found.items():
        print(f"  {name}: {why}")
    with_number = {row.row for row in one.earlier.values() if row.ours is not None}
    run = len(with_number & {planned.row.name for planned in wanted})
    print(f"  {len(found)} of {run} rows with a number are not of today's settings, code and data")
    return len(found)


def has_gpu() -> bool:
    from pipeline.devices import device

    return device().type == "cuda"


def _print_start(planned: PlannedRow, fold: int) -> None:
    if sys.stderr.isatty():
        of = f", fold {fold + 1} of {len(planned.experiments)}" if planned.row.folds else ""
        log = BUILD / planned.experiments[fold].name / LOG
        print(f"  {planned.row.name}: running{of} (log: {log})", file=sys.stderr)


def _check_places(mirror: str | None, path: str | None, weights: str | None) -> None:
    if path is not None and not Path(path).expanduser().exists():
        raise ParamError(f"--path {path}: nothing there; give the folder or archive of your copy")
    if mirror is not None and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        raise ParamError(f"--mirror {mirror}: no such folder; a mirror holds <dataset>/<archive> and SHA256SUMS")
    if weights is not None and not Path(weights).expanduser().is_dir():
        raise ParamError(f"--weights {weights}: no such folder; give the one with the checkpoints of the study")


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "time not on record"  # its networks or heads came out of DVC's cache
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"

"""`python -m pipeline study NAME`: a published report's rows as experiments, our figures beside its own.

python -m pipeline study tll --dry-run                 # what would run, and about how long
python -m pipeline study tll --rows triplet            # some rows; the others stay as they are in the table
python -m pipeline study --all --mirror /data/mirror   # all five
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from data.files.atomic import write_bytes
from pipeline.errors import ParamError
from pipeline.params import load_params
from pipeline.studies.page import page
from pipeline.studies.plan import Planned, code_sha256, plan
from pipeline.studies.requirements import Need, fetch, look
from pipeline.studies.results import Line, absent, kept_lines, lines_of, read_lines, why_not, write_lines
from pipeline.studies.running import KEPT, LOG, Result, RunFailed, commit, kept, run
from pipeline.studies.settings import FOLDER, Study, load_study, pick_rows

PARAMS = Path("params.yaml")
OVERHEAD = 12  # seconds that DVC takes for an experiment whose stages are all cached, about


@dataclass(frozen=True)
class Ask:
    """What the command line asked for."""

    rows: tuple[str, ...] | None = None
    dry_run: bool = False
    mirror: str | None = None
    path: str | None = None
    anyway: bool = False  # also what wants a GPU


def run_studies(names: Sequence[str], ask: Ask) -> int:
    """Run or list the studies; the number of rows that failed."""
    load_params(PARAMS)  # a wrong word there is told before anything runs
    commit()
    raw = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
    where = _where(ask)
    planned = {}
    for name in names:
        study = load_study(name)
        chosen = pick_rows(study, ask.rows)
        planned[name] = (study, [plan(name, study, row, raw, where=where) for row in study.rows], chosen)
    tried: dict[str, Need] = {}
    failed = 0
    for name, (study, rows, chosen) in planned.items():
        wanted = [each for each in rows if each.row in chosen]
        if ask.dry_run:
            print("\n".join(say_plan(name, study, wanted, anyway=ask.anyway)))
        else:
            failed += run_study(name, study, rows, wanted, anyway=ask.anyway, tried=tried)
    return failed


def run_study(
    name: str, study: Study, rows: list[Planned], wanted: list[Planned], *, anyway: bool, tried: dict[str, Need]
) -> int:
    """Run what can be run, and write the page and the csv; the number of rows that failed."""
    code, older = code_sha256(), read_lines(FOLDER / f"{name}.csv")
    reasons: dict[str, str] = {}
    print(f"{name}: {study.title}")
    for each in wanted:
        if _results(each, code) is not None:
            print(f"  {each.row.name}: here already")
            continue
        needs = look(each, gpu=lambda: anyway or has_gpu())
        lacking = fetch(needs, tried=tried, mirror=each.experiments[0].params.data.mirror)
        if lacking:
            reasons[each.row.name] = "; ".join(need.what for need in lacking)
            print(f"  {each.row.name}: not run: {reasons[each.row.name]}")
            continue
        try:
            _run_row(each, code)
        except RunFailed as error:
            reasons[each.row.name] = f"failed: {error}"
            print(f"  {each.row.name}: failed: {error} (all of it in {KEPT / each.experiments[-1].name / LOG})")
        else:
            write_study(name, study, rows, code, older, reasons)
            print(f"  {each.row.name}: {_said(each, read_lines(FOLDER / f'{name}.csv'))}")
    write_study(name, study, rows, code, older, reasons)
    for each in wanted:
        if _results(each, code) is not None and (other := _other_side_missing(each, rows, code)):
            print(f"  {each.row.name}: no difference to '{other}', which has not run here")
    print(f"  wrote {FOLDER / name}.md and {FOLDER / name}.csv")
    return sum(reason.startswith("failed: ") for reason in reasons.values())


def write_study(
    name: str,
    study: Study,
    rows: list[Planned],
    code: str,
    older: dict[tuple[str, str], Line],
    reasons: dict[str, str],
) -> None:
    """A row's number is the one found here, else the one that the csv has for the same settings, else the reason."""
    found = {each.row.name: _results(each, code) for each in rows}
    # The other side of a comparison may be of an older program: that the questions agree is checked there.
    others = {each.row.name: _results(each, code, any_code=True) for each in rows}
    lines: dict[tuple[str, str], Line] = {}
    for each in rows:
        results = found[each.row.name]
        if results is not None:
            own = lines_of(each, results, against=others.get(each.row.against))
        else:
            own = kept_lines(each, older) or absent(each, reasons.get(each.row.name) or why_not(each, older))
        lines |= {(line.row, line.metric): line for line in own}
    write_lines(FOLDER / f"{name}.csv", lines.values())
    write_bytes(FOLDER / f"{name}.md", page(name, study, lines).encode())


def say_plan(name: str, study: Study, wanted: list[Planned], *, anyway: bool) -> list[str]:
    """What `study` would do with each row, and about how long it would take."""
    code, older = code_sha256(), read_lines(FOLDER / f"{name}.csv")
    words, total, unknown = [f"{name}: {study.title}"], 0.0, 0
    for each in wanted:
        needs = look(each, gpu=lambda: anyway or has_gpu())
        missing = [need.what for need in needs if need.state == "missing"]
        if _results(each, code) is not None:
            words.append(f"  here      {each.row.name}")
        elif missing:
            words.append(f"  not here  {each.row.name}: {'; '.join(missing)}")
        else:
            seconds = _estimate(each, older)
            total, unknown = total + (seconds or 0), unknown + (seconds is None)
            first = "".join(f"; first fetches {need.what}" for need in needs)
            words.append(f"  run       {each.row.name}: {_about(seconds)}{first}")
    rest = f" and {unknown} rows that never ran" if unknown else ""
    return [*words, f"  in all {_about(total)}{rest}; data and features that are not in DVC's cache come on top"]


def has_gpu() -> bool:
    from pipeline.devices import device

    return device().type == "cuda"


def _where(ask: Ask) -> dict[str, str | None]:
    if ask.path is not None and not Path(ask.path).expanduser().exists():
        raise ParamError(f"--path {ask.path}: nothing there; give the folder or archive of your copy")
    if ask.mirror is not None and "://" not in ask.mirror and not Path(ask.mirror).expanduser().is_dir():
        raise ParamError(f"--mirror {ask.mirror}: no such folder; a mirror holds <dataset>/<archive> and SHA256SUMS")
    return {"mirror": ask.mirror, "path": ask.path}


def _results(planned: Planned, code: str, *, any_code: bool = False) -> list[Result] | None:
    found = [kept(experiment, code, any_code=any_code) for experiment in planned.experiments]
    return None if None in found else found


def _run_row(planned: Planned, code: str) -> None:
    for number, experiment in enumerate(planned.experiments, 1):
        if kept(experiment, code) is None:
            fold = f", fold {number} of {len(planned.experiments)}" if planned.row.folds else ""
            if sys.stderr.isatty():
                print(f"  {planned.row.name}: running{fold} (log: {KEPT / experiment.name / LOG})", file=sys.stderr)
            run(experiment, code)


def _said(planned: Planned, lines: dict[tuple[str, str], Line]) -> str:
    own = [lines[planned.row.name, each.metric] for each in planned.row.compare]
    return ", ".join(f"{line.metric} {line.ours}" for line in own)


def _other_side_missing(planned: Planned, rows: Sequence[Planned], code: str) -> str | None:
    """The row that this one is compared with query by query, if it has no results on this machine."""
    others = [each for each in rows if each.row.name == planned.row.against]
    return next((each.row.name for each in others if _results(each, code, any_code=True) is None), None)


def _estimate(planned: Planned, older: dict[tuple[str, str], Line]) -> float | None:
    line = older.get((planned.row.name, planned.row.compare[0].metric))
    if line is None or line.seconds is None:
        return None
    return line.seconds + OVERHEAD * len(planned.experiments)


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "never ran"
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"

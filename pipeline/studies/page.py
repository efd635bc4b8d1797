"""`studies/<name>.md`: a report's rows with our numbers beside the published ones, for people."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.studies.results import Line
from pipeline.studies.settings import Compare, Row, Study

HEADER = (
    "| row | score | published | ours | no head | chance | trivial | seconds |",
    "|---|---|---|---|---|---|---|---|",
)
PAIRED = ("| row | minus | score | queries | difference |", "|---|---|---|---|---|")
AHEAD, BEHIND = "▲", "▼"
CLEAR = "An asterisk: the interval is clear of zero."
LEGEND = (
    "Scores are per cent, losses are not; ± is the half width of the 95 % interval over queries and seeds. "
    f"{AHEAD} ours is better than the published figure, {BEHIND} worse, with the interval clear of it; a figure in "
    "brackets was published for other data or features and stands there for orientation. *No head*: cosine of the same "
    "features. *Trivial*: the best constant answer. *Seconds*: wall time of training and scoring of the row alone, "
    "on a machine that may have had other work."
)


def page(name: str, study: Study, lines: Mapping[tuple[str, str], Line]) -> str:
    """The whole page; `lines` by (row, metric), one for each figure of the study."""
    report = f"[The report]({study.link})." if study.link else "The report has no public address that we know of."
    parts = [f"# {study.title}", f"{report} Written by `python -m pipeline study {name}`; do not edit."]
    if study.protocol:
        parts.append("\n".join(["**Protocol**", "", *(f"* {note}" for note in study.protocol)]))
    for section in study.sections:
        parts.append(f"## {section.title}")
        if section.note:
            parts.append(section.note)
        rows = [_line(row, each, lines[row.name, each.metric]) for row in section.rows for each in row.compare]
        parts.append("\n".join([*HEADER, *rows]))
    parts.append(LEGEND)
    paired = [_paired(line) for line in lines.values() if line.difference is not None]
    if paired:
        parts += ["## On the same queries", "\n".join([*PAIRED, *paired]), CLEAR]
    if waiting := _waiting(name, study.rows, lines):
        parts += ["## Not run here", "\n".join(waiting)]
    if about := [f"* **{row.name}**: {row.about}" for row in study.rows if row.about]:
        parts += ["## What the rows are", "\n".join(about)]
    if ran := _machines(lines.values()):
        parts.append("\n".join(["Ran on:", "", *ran]))
    return "\n\n".join(parts) + "\n"


def _line(row: Row, compare: Compare, line: Line) -> str:
    cells = (
        row.name,
        compare.metric.removeprefix("test/"),
        _published(compare),
        _ours(compare, line),
        *(show(compare.metric, value) for value in (line.no_head, line.chance, line.trivial)),
        "" if line.seconds is None else f"{line.seconds:,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _published(compare: Compare) -> str:
    shown = show(compare.metric, compare.published)
    if shown and not compare.same_protocol:
        shown = f"({shown})"
    return f"{shown} {compare.published_as}".strip()


def _ours(compare: Compare, line: Line) -> str:
    if line.ours is None:
        return "not run"
    half = "" if line.half is None else f" ± {show(compare.metric, line.half)}"
    return f"**{show(compare.metric, line.ours)}**{half} {verdict(compare, line)}".strip()


def verdict(compare: Compare, line: Line) -> str:
    """Whether ours is better or worse with the whole interval; empty where it is neither, or not the same protocol."""
    if not compare.same_protocol or compare.published is None or line.ours is None:
        return ""
    gap = line.ours - compare.published
    if abs(gap) <= (line.half or 0.0):
        return ""
    return AHEAD if (gap > 0) != compare.lower_is_better else BEHIND


def show(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if metric.endswith("loss") else f"{100 * value:.1f}"


def _paired(line: Line) -> str:
    clear = " *" if abs(line.difference) > line.difference_half else ""
    change = f"{100 * line.difference:+.1f} ± {100 * line.difference_half:.1f}{clear}"
    metric = line.metric.removeprefix("test/")
    return f"| {line.row} | {line.against} | {metric} | {line.queries:,} | {change} |"


def _waiting(name: str, rows: Sequence[Row], lines: Mapping[tuple[str, str], Line]) -> list[str]:
    """Rows without a number, together where they wait for the same thing."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        line = lines[row.name, row.compare[0].metric]
        if line.ours is None:
            reasons.setdefault(line.missing or "", []).append(row.name)
    if not reasons:
        return []
    found = [f"* {'; '.join(names)}. *{why}*" for why, names in reasons.items()]
    return [f"`python -m pipeline study {name}` runs them where that is mended:", "", *found]


def _machines(lines: Iterable[Line]) -> list[str]:
    ran = {f"* {line.machine}; {line.versions}": None for line in lines if line.machine}
    return list(ran)

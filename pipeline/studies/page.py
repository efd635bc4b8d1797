"""`studies/<name>.md`: a report's rows, our numbers beside the published ones."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.markdown import markdown_table
from pipeline.studies.results import ResultRow, Results
from pipeline.studies.settings import Compare, Row, Study

COLUMNS = ("row", "score", "published", "ours", "baseline", "chance", "trivial", "queries", "seconds")
PAIRED = ("row", "minus", "score", "queries", "difference")
BETTER, WORSE, OTHER = "▲", "▼", "†"
CLEAR = "An asterisk: the 95 % interval is clear of zero."
LEGEND = (
    "Scores are per cent, losses are not; ± is the half width of the 95 % interval over queries and seeds. "
    f"{BETTER} ours is better than the published figure, {WORSE} worse, with the interval clear of it; a figure in "
    "brackets was published for other data or features and is given for orientation. *Baseline*: cosine of the same "
    "features, without a head. *Trivial*: the best constant answer. *Queries*: ranked images of the test split, of all "
    "folds together. *Seconds*: wall time of training and scoring of the row alone, on a machine that may have "
    "had other work."
)


def study_page(
    name: str,
    study: Study,
    results: Results,
    *,
    other_protocol: Mapping[str, str] | None = None,
    chart: str = "",
    roc: str = "",
) -> str:
    """The whole page.

    Args:
        results: one for each score of the study.
        other_protocol: rows that were measured on something else than the others on the same data -> on what.
        chart: file name of the picture of the study's curve.
        roc: of the picture of its ROC.
    """
    other = other_protocol or {}
    report = f"[The report]({study.link})." if study.link else "The report has no public address that we know of."
    blocks = [f"# {study.title}", f"{report} Written by `python -m pipeline study {name}`; do not edit."]
    if study.protocol:
        blocks.append("\n".join(["**Protocol**", "", *(f"* {note}" for note in study.protocol)]))
    for section in study.sections:
        blocks.append(f"## {section.title}")
        if section.note:
            blocks.append(section.note)
        rows = [
            _cells(row, each, results[row.name, each.metric], mark=OTHER if row.name in other else "")
            for row in section.rows
            for each in row.compare
        ]
        blocks.append(markdown_table(COLUMNS, rows))
    blocks.append(LEGEND)
    if other:
        blocks.append("\n".join(f"{OTHER} **{row}** {words}" for row, words in other.items()))
    if study.curve and chart:
        blocks += [f"## {study.curve.title}", f"![{study.curve.title}]({chart})"]
    if roc:
        blocks += ["## ROC", "Mean over seeds, on the test pairs.", f"![ROC]({roc})"]
    paired = [_paired(row) for row in results.values() if row.difference is not None]
    if paired:
        blocks += ["## On the same queries", markdown_table(PAIRED, paired), CLEAR]
    if not_run := _not_run(name, study.rows, results):
        blocks += ["## Not run here", "\n".join(not_run)]
    if about := [f"* **{row.name}**: {row.about}" for row in study.rows if row.about]:
        blocks += ["## What the rows are", "\n".join(about)]
    if machines := _machines(results.values()):
        blocks.append("\n".join(["Ran on:", "", *machines]))
    return "\n\n".join(blocks) + "\n"


def _cells(row: Row, compare: Compare, result: ResultRow, *, mark: str) -> Sequence[str]:
    return (
        f"{row.name} {mark}".strip(),
        compare.metric.removeprefix("test/"),
        published_cell(compare),
        ours_cell(compare, result),
        *(format_score(compare.metric, value) for value in (result.baseline, result.chance, result.trivial)),
        "" if result.queries is None else f"{result.queries:,}",
        "" if result.seconds is None else f"{result.seconds:,.0f}",
    )


def published_cell(compare: Compare) -> str:
    text = format_score(compare.metric, compare.published)
    if text and not compare.same_protocol:
        text = f"({text})"
    return f"{text} {compare.published_as}".strip()


def ours_cell(compare: Compare, result: ResultRow) -> str:
    if result.ours is None:
        return "not run"
    half = "" if result.half_width is None else f" ± {format_score(compare.metric, result.half_width)}"
    return f"**{format_score(compare.metric, result.ours)}**{half} {verdict(compare, result)}".strip()


def verdict(compare: Compare, result: ResultRow) -> str:
    """BETTER or WORSE if the whole interval is; empty if neither, or if the protocol is not the report's."""
    if not compare.same_protocol or compare.published is None or result.ours is None:
        return ""
    gap = result.ours - compare.published
    if abs(gap) <= (result.half_width or 0.0):
        return ""
    return BETTER if (gap > 0) != compare.lower_is_better else WORSE


def format_score(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if metric.endswith("loss") else f"{100 * value:.1f}"


def _paired(result: ResultRow) -> Sequence[str]:
    difference, half = result.difference or 0.0, result.difference_half_width or 0.0
    clear = " *" if abs(difference) > half else ""
    change = f"{100 * difference:+.1f} ± {100 * half:.1f}{clear}"
    queries = "" if result.queries is None else f"{result.queries:,}"
    return result.row, result.against or "", result.metric.removeprefix("test/"), queries, change


def _not_run(name: str, rows: Sequence[Row], results: Results) -> list[str]:
    """Rows without a number, grouped by the reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        result = results[row.name, row.compare[0].metric]
        if result.ours is None:
            reasons.setdefault(result.missing or "", []).append(row.name)
    if not reasons:
        return []
    lines = [f"* {'; '.join(names)}. *{why}*" for why, names in reasons.items()]
    return [f"`python -m pipeline study {name}` runs them once that is provided:", "", *lines]


def _machines(results: Iterable[ResultRow]) -> list[str]:
    ran = {f"* {result.machine}; {result.versions}": None for result in results if result.machine}
    return list(ran)

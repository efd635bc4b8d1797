"""docs/results.md: the reports in a few lines each, from the csv files of the studies."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.files.atomic import write_bytes
from pipeline.markdown import markdown_table
from pipeline.studies.page import format_score, ours_cell, published_cell
from pipeline.studies.results import ResultRow, Results, read_results
from pipeline.studies.settings import FOLDER, Row, Study, known_studies, load_study

COLUMNS = ("row", "score", "published", "ours", "baseline", "chance")
OUT = Path("docs/results.md")


@dataclass(frozen=True)
class Summarized:
    name: str
    study: Study
    results: Results


def results_page(studies: Sequence[Summarized], out: Path = OUT) -> str:
    """Per study its headline rows, a picture and a link to the whole table; those that have not run come last."""
    blocks = [
        "# Results",
        "Published reports run again with this project: their figure, ours with its 95 % interval, the baseline "
        "(cosine of the same features) and chance, in per cent. ▲ better than the published figure, ▼ worse, with the "
        "interval clear of it; brackets: published for other data or features. "
        "Written by `python -m pipeline results`; do not edit.",
    ]
    for one in sorted(studies, key=lambda one: not any(row.ours is not None for row in one.results.values())):
        where = os.path.relpath(FOLDER / f"{one.name}.md", out.parent)
        blocks.append(f"## {one.study.title}")
        run = sum(_has_number(row, one.results) for row in one.study.rows)
        if not run:
            blocks.append(f"None of {len(one.study.rows)} rows has run here; [what they need]({where}).")
            continue
        rows = [cells for row in headline_rows(one.study) for cells in _cells(row, one.results)]
        blocks.append(markdown_table(COLUMNS, rows))
        roc = FOLDER / f"{one.name}.roc.svg"
        picture = one.study.picture or (roc if roc.exists() else None)
        if picture:
            blocks.append(f"![{one.study.title}]({os.path.relpath(picture, out.parent)})")
        blocks.append(f"[All rows]({where}): {run} of {len(one.study.rows)} have run.")
    return "\n\n".join(blocks) + "\n"


def write_results_page() -> None:
    """docs/results.md of the studies as they lie here.

    Raises:
        ParamError: a study or its csv is not valid.
    """
    names = known_studies()
    studies = [Summarized(name, load_study(name), read_results(FOLDER / f"{name}.csv")) for name in names]
    write_bytes(OUT, results_page(studies).encode())


def headline_rows(study: Study) -> list[Row]:
    """The rows that the study names as its headline; none named: all."""
    return [row for row in study.rows if row.name in study.headline] if study.headline else study.rows


def _cells(row: Row, results: Results) -> Iterator[Sequence[str]]:
    for compare in row.compare:
        result = results.get((row.name, compare.metric)) or ResultRow(row.name, compare.metric)
        yield (
            row.name,
            compare.metric.removeprefix("test/"),
            published_cell(compare),
            ours_cell(compare, result),
            format_score(compare.metric, result.baseline),
            format_score(compare.metric, result.chance),
        )


def _has_number(row: Row, results: Results) -> bool:
    return any((found := results.get((row.name, each.metric))) and found.ours is not None for each in row.compare)

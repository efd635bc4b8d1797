"""A table of runs as Markdown, csv or LaTeX (booktabs)."""

import re
from collections.abc import Callable
from typing import Any

from pipeline.markdown import markdown_table
from pipeline.runs.run_table import Cell, Table
from pipeline.shared.csv_text import csv_bytes

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def markdown(table: Table) -> str:
    rows = [[_words(cell, bold="**{}**", pm="±", star=" *") for cell in row] for row in table.rows]
    return "\n".join([markdown_table(table.columns, rows), "", *table.notes])


def latex(table: Table) -> str:
    """A `tabular` for the preamble's `\\usepackage{booktabs}`; the notes are comments."""
    numbers = [any(row[place].kind != "text" for row in table.rows) for place in range(len(table.columns))]
    lines = [f"% {note}" for note in table.notes]
    lines += [rf"\begin{{tabular}}{{{''.join('r' if each else 'l' for each in numbers)}}}", r"\toprule"]
    lines += [" & ".join(map(escape_latex, table.columns)) + r" \\", r"\midrule"]
    for row in table.rows:
        cells = [
            _words(cell, bold=r"\textbf{{{}}}", pm=r"$\pm$", star="$^*$", minus="$-$", escape=escape_latex)
            for cell in row
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def csv(table: Table) -> str:
    """Shares, not per cent; an interval is a column of its own."""
    with_interval = [any(row[i].half_width is not None for row in table.rows) for i in range(len(table.columns))]
    columns, rows = [], [[] for _ in table.rows]
    for i, name in enumerate(table.columns):
        columns += [name, f"{name} half_width"] if with_interval[i] else [name]
        for row, cells in zip(rows, table.rows, strict=True):
            value, half_width = cells[i].value, cells[i].half_width
            row.append("" if value is None else value)
            if with_interval[i]:
                row.append("" if half_width is None else round(half_width, 4))
    return csv_bytes(columns, rows).decode().rstrip("\n")


FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": csv, "latex": latex}


def escape_latex(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: LATEX.get(found[0], f"\\{found[0]}"), text)


def _words(cell: Cell, *, bold: str, pm: str, star: str, minus: str = "-", escape: Callable[[str], str] = str) -> str:
    value: Any = cell.value
    if value is None:
        return ""
    if cell.kind == "text":
        return escape(str(value).lower() if isinstance(value, bool) else str(value))
    scale, digits = (1, 4) if cell.kind == "loss" else (100, 1)
    sign = "+" if cell.kind == "difference" else ""
    text = f"{scale * value:{sign}.{digits}f}"
    text = text.replace("-", minus)
    half = "" if cell.half_width is None else f" {pm} {scale * cell.half_width:.{digits}f}"
    return (bold.format(text) if cell.best else text) + half + (star if cell.clear else "")

"""`python -m pipeline report`: one page (HTML, and Markdown) with all that is known of the run that lies here."""

from pathlib import Path

from data.files.atomic import write_bytes
from pipeline.params import Params
from pipeline.report.load_run import load_run
from pipeline.report.page import collect
from pipeline.stage_inputs import check_inputs
from pipeline.templates import render

OUT = Path("build/report")


def run(params: Params, *, out: Path = OUT) -> None:
    """Write `index.html`, which needs nothing beside it, and `report.md`."""
    check_inputs(params, "evaluate")
    page = collect(load_run(params), params)
    for template, file in (("page.html", "index.html"), ("page.md", "report.md")):
        write_bytes(out / file, render(template, **page).encode())
    print(f"wrote {out / 'index.html'} and {out / 'report.md'}")

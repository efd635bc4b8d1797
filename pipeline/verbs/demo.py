"""`python -m pipeline demo`: a page to search, compare and draw on, for this machine alone."""

from pathlib import Path

from pipeline.page.app import build, serve
from pipeline.page.shelf import Shelf


def run(*, first: str | None, port: int, browser: bool) -> None:
    """Serve the page until it is interrupted. `first`: the data set whose head is chosen at the start.

    Raises:
        HeadError: no trained head. OSError: the port is taken.
    """
    page = build(Shelf(Path("artifacts"), first))
    print(f"lookalike: http://127.0.0.1:{port} (Ctrl+C ends it)", flush=True)
    serve(page, port=port, browser=browser)

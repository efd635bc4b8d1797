"""`python -m pipeline table`: this run and the experiments beside it, a Markdown row each."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors import ParamError

Row = Mapping[str, Any]
HEADER = (
    "| run | features | head | loss | top-2 | no head | chance | recall@1 | no head |",
    "|---|---|---|---|---|---|---|---|---|",
)


def run() -> None:
    """Print the table of the workspace and of the experiments of its commit."""
    from dvc.api import exp_show

    lines = table(exp_show(param_deps=True))
    if len(lines) == len(HEADER):
        raise ParamError("no run has metrics yet: run `dvc repro`")
    print("\n".join(lines))


def table(found: Iterable[Row]) -> list[str]:
    """Markdown lines of the runs that have metrics; the commit is left out, the workspace stands for it."""
    rows = [
        row for row in found if row.get("top2") is not None and (row.get("rev") == "workspace" or row.get("Experiment"))
    ]
    return [*HEADER, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    cells = (
        row.get("Experiment") or "workspace",
        f"`{row['head.features']}`",
        row["head.model"],
        row["head.loss"],
        f"**{percent(row['top2'])} ± {percent(row['top2_ci'])}**",
        percent(row["baseline.top2"]),
        percent(row["chance.top2"]),
        percent(row["recall_at_1"]),
        percent(row["baseline.recall_at_1"]),
    )
    return f"| {' | '.join(cells)} |"


def percent(share: float) -> str:
    return f"{100 * share:.1f}"

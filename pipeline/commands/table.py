"""`python -m pipeline table`: this run and the experiments beside it.

python -m pipeline table                                        # Markdown: the workspace and its experiments
python -m pipeline table --sort top2 --columns top2,auc,head.lr # other columns
python -m pipeline table a b c --against a --format latex       # for a paper: intervals, and paired differences to a
"""

import csv
from collections.abc import Sequence

from data.errors import did_you_mean
from pipeline.errors import ParamError
from pipeline.runs.query_scores import QueryScores, parse_queries, read_queries
from pipeline.runs.run_list import FINISHED, Run, list_runs
from pipeline.runs.run_table import run_table
from pipeline.runs.table_formats import FORMATS


def run(
    runs: Sequence[str] = (),
    *,
    all_commits: bool = False,
    columns: Sequence[str] = (),
    sort: str | None = None,
    against: str | None = None,
    form: str = "md",
) -> None:
    """Print the table of `runs`; none: all.

    Raises:
        ParamError: no run has metrics, or an unknown run, column or format.
    """
    found = pick(list_runs(all_commits=all_commits), runs)
    if not any(each.state == FINISHED for each in found):
        raise ParamError("no run has metrics of its params yet: run `dvc repro`")
    table = run_table(found, columns=columns, sort=sort, against=against, read=read_run)
    print(FORMATS[form](table))


def split_keys(text: str) -> tuple[str, ...]:
    """`top2, "a,b"` -> top2 and a,b: a line of csv, so that a key with a comma can be quoted."""
    keys = next(csv.reader([text], skipinitialspace=True), [])
    return tuple(key.strip() for key in keys if key.strip())


def pick(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """The named runs in the order of `names`; none: all."""
    by_name = {each.name: each for each in reversed(runs)}
    for name in names:
        if name not in by_name:
            raise ParamError(f"no run '{name}'{did_you_mean(name, by_name)}")
    return [by_name[name] for name in names] if names else list(runs)


def read_run(run: Run) -> QueryScores:
    return parse_queries(read_queries(run.params["data.name"], run.revision), name=run.name)

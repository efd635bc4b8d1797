"""`python -m pipeline submit`: a challenge's CSV, a confidence per query and candidate.

Format: `left,c0..c19`, a row per query in the order of test_candidates.csv. A confidence is the probability that this
candidate is the true one, given that exactly one is: the calibrated log odds of the pairs through a softmax.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from data.datasets.csv_tables import read_csv
from data.errors import DataError
from data.files.archives import open_tree, unicode_name
from data.files.atomic import write_bytes
from data.tables.protocol import SubmitLists
from data.tables.rows import Rows
from heads.embeddings import cross_similarity, embed
from heads.reranking.registry import rerank
from pipeline.params import Params
from pipeline.report.load_run import TrainedRun, load_run
from pipeline.shared.csv_text import csv_bytes
from pipeline.stage_inputs import check_inputs

OUT = Path("build/submission.csv")
TEMPLATE = "test_candidates.csv"


@dataclass(frozen=True)
class Lists:
    """Q queries and their C candidates, by the names that the challenge gave them."""

    columns: list[str]  # (C,)
    left: list[str]  # (Q,)
    candidates: list[list[str]]  # (Q, C)


def run(params: Params, out: Path = OUT) -> None:
    """Write `out`, checked against the challenge's own table where data.path still has it.

    Raises:
        DataError: the data set has no such queries, or the table is not the one that was prepared.
    """
    check_inputs(params, "evaluate")
    found = load_run(params)
    lists = found.protocol.submit
    if lists is None:
        raise DataError(
            f"{params.data.name} has no queries without truth to submit; `data.name: tll` of a challenge has"
        )
    names = challenge_names(lists, found.rows)
    template = read_template(Path(params.data.path))
    if template is not None:
        check(names, template, where=f"{params.data.path}: {TEMPLATE}")
    write_bytes(out, as_csv(names, confidences(found, lists, reranking=params.scores.rerank)))
    reranked = (
        "" if params.scores.rerank == "none" else f", re-ranked with all queries at once ({params.scores.rerank})"
    )
    order = f"in the order of {TEMPLATE}" if template else f"not checked: no {TEMPLATE} in {params.data.path}"
    print(f"submit: {len(names.left)} queries, {len(names.columns)} candidates each{reranked}, {order} -> {out}")


def confidences(found: TrainedRun, lists: SubmitLists, *, reranking: str = "none") -> NDArray[np.float64]:
    """(Q, C), each row summing to 1. `reranking` compares all queries with all candidates first: `scores.rerank`."""
    gallery, columns = np.unique(lists.candidates, return_inverse=True)
    queries, candidates = (
        embed(found.trained, found.inputs[torch.from_numpy(rows).to(found.inputs.device)])
        for rows in (lists.query, gallery)
    )
    rows, first = np.arange(len(queries)), len(queries)
    similarity = cross_similarity(found.trained, queries, candidates)
    if reranking != "none":
        similarity = rerank(reranking, similarity, queries=rows, gallery=first + np.arange(len(gallery)))
    places = torch.from_numpy(first + columns.reshape(lists.candidates.shape))
    scores = np.stack(
        [similarity.block(torch.tensor([row]), those)[0].cpu().numpy() for row, those in enumerate(places)]
    )
    # A slope of 0, of a head that separates nothing on val, would make all confidences equal.
    logits = (found.trained.calibration.slope or 1.0) * scores.astype(np.float64)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def challenge_names(lists: SubmitLists, rows: Rows) -> Lists:
    def name(row: int) -> str:
        return PurePosixPath(rows.id[row]).name

    return Lists(
        columns=[f"c{column}" for column in range(lists.candidates.shape[1])],
        left=[name(row) for row in lists.query],
        candidates=[[name(row) for row in those] for those in lists.candidates],
    )


def read_template(path: Path) -> Lists | None:
    """The challenge's table in the folder or .zip `path`; None where there is none."""
    if not path.exists():
        return None
    tree = open_tree(path)
    tables = sorted((name for name in tree.names if PurePosixPath(name).name == TEMPLATE), key=len)
    if not tables:
        return None
    rows = read_csv(tree, tables[0], ("left",))
    columns = [name for name in rows[0] if name != "left"]
    return Lists(
        columns=columns,
        left=[unicode_name(row["left"]) for row in rows],
        candidates=[[unicode_name(row[column]) for column in columns] for row in rows],
    )


def check(names: Lists, template: Lists, *, where: str) -> None:
    """
    Raises:
        DataError: the table has other queries, candidates or columns than were prepared, or has them in another order.
    """
    again = "it changed since; run `dvc repro`"
    if names.columns != template.columns:
        raise DataError(f"{where}: columns {','.join(template.columns)}, prepared {','.join(names.columns)}; {again}")
    if len(names.left) != len(template.left):
        raise DataError(f"{where}: {len(template.left)} queries, prepared {len(names.left)}; {again}")
    for line, (ours, theirs) in enumerate(zip(_lines(names), _lines(template), strict=True), start=2):
        if ours != theirs:
            raise DataError(f"{where}: line {line} ({theirs[0]}) is not what was prepared; {again}")


def as_csv(names: Lists, values: NDArray[np.float64]) -> bytes:
    rows = ([left, *(f"{value:.9g}" for value in row)] for left, row in zip(names.left, values, strict=True))
    return csv_bytes(["left", *names.columns], rows)


def _lines(lists: Lists) -> list[list[str]]:
    return [[left, *those] for left, those in zip(lists.left, lists.candidates, strict=True)]

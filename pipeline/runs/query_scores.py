"""The scores of every test query of a run, read back from a revision, and two runs compared query by query."""

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heads.metrics.intervals import Interval, paired_interval
from heads.metrics.mcnemar import Flips, mcnemar
from pipeline.errors import ParamError
from pipeline.paths import dataset_folder
from pipeline.repository import dvc_errors, git, head_commit

WORKSPACE = "workspace"
BASELINE = "baseline"  # the model of queries.parquet that is cosine of the features
QUERIES = "scores/queries.parquet"
K = 2  # a query is hit if its match is among the best two of a list
NOT_SCORES = {"model", "seed", "id", "cluster", "seen"}  # columns


@dataclass(frozen=True)
class QueryScores:
    """S seeds, Q queries."""

    name: str
    protocol: str  # hash
    ids: NDArray[np.object_]  # (Q,)
    clusters: NDArray[np.object_]  # (Q,)
    scores: dict[str, NDArray[np.float64]]  # name -> (S, Q)


@dataclass(frozen=True)
class Comparison:
    before: QueryScores
    after: QueryScores
    change: dict[str, Interval]  # score -> after minus before
    hits: Flips  # positions in ids


def read_queries(dataset: str, revision: str) -> bytes:
    """`queries.parquet` of a git revision or DVC experiment, out of DVC's cache; `workspace` is the folder as it is.

    Raises:
        ParamError: there is no such revision, it has no such file, or the cache does not hold it.
    """
    import dvc.api
    from dvc.exceptions import PathMissingError
    from dvc.scm import RevError

    path = (dataset_folder(dataset) / QUERIES).as_posix()
    if revision == WORKSPACE:
        try:
            return Path(path).read_bytes()
        except OSError:
            raise ParamError(f"no {path} of 'workspace' here; run `dvc repro evaluate`") from None
    head_commit()
    missing, remedy = f"no {path} of '{revision}' here", _how_to_make(revision)
    with dvc_errors(missing, remedy=remedy):
        try:
            return dvc.api.read(path, rev=revision, mode="rb")
        except RevError:
            raise ParamError(
                f"no revision or experiment '{revision}'; `git log` and `dvc exp show` list them"
            ) from None
        except (PathMissingError, FileNotFoundError):
            raise ParamError(f"{missing}; {remedy}") from None


def _how_to_make(revision: str) -> str:
    try:
        git("rev-parse", "--verify", f"{revision}^{{commit}}")
        take = f"git switch --detach {revision}"
    except subprocess.CalledProcessError:
        take = f"dvc exp apply {revision}"
    return f"`dvc fetch` gets it from a DVC remote; without one, `{take} && dvc repro` makes it again"


def parse_queries(content: bytes, *, name: str, model: str = "head") -> QueryScores:
    """The scores of the head, or of the baseline.

    Raises:
        ParamError: the file is of another version of this project.
    """
    try:
        table = pq.read_table(io.BytesIO(content), page_checksum_verification=True)
        protocol = (table.schema.metadata or {})[b"protocol"].decode()
        models, seed = (np.array(table[column].to_pylist(), dtype=object) for column in ("model", "seed"))
        chosen = models == model
        first = chosen & (seed == 0)
        ids, clusters = (np.array(table[column].to_pylist(), dtype=object)[first] for column in ("id", "cluster"))
        scores = {
            column: np.array(table[column].to_pylist(), dtype=np.float64)[chosen].reshape(-1, len(ids))
            for column in table.column_names
            if column not in NOT_SCORES
        }
    except (pa.ArrowException, KeyError, ValueError, OSError):  # ArrowInvalid, and a page whose checksum is another
        raise ParamError(
            f"the scores of '{name}' are damaged, or of another version of this project; evaluate it again"
        ) from None
    return QueryScores(name, protocol, ids, clusters, scores)


def compare(before: QueryScores, after: QueryScores) -> Comparison:
    """
    Raises:
        ParamError: the runs were not measured on the same thing: their protocols, or their queries, differ.
    """
    if before.protocol != after.protocol:
        raise ParamError(
            f"not comparable: '{before.name}' was scored under protocol {before.protocol[:16]}, '{after.name}' under "
            f"{after.protocol[:16]}; other images, splits or candidate lists give other numbers for the same head"
        )
    if before.ids.tolist() != after.ids.tolist():
        raise ParamError(
            f"not comparable: '{before.name}' and '{after.name}' have other queries; "
            "evaluate both with this version, and with equal `seed` and `scores.queries`"
        )
    clusters = np.unique(before.clusters.astype(str), return_inverse=True)[1]
    names = [name for name in before.scores if name in after.scores]
    return Comparison(
        before,
        after,
        change={name: paired_interval(after.scores[name], before.scores[name], clusters=clusters) for name in names},
        hits=mcnemar(before.scores[f"top{K}"].mean(0), after.scores[f"top{K}"].mean(0)),
    )

"""`python -m pipeline diff REV [REV]`: two runs on the same queries; what changed, and is it more than luck?

python -m pipeline diff HEAD            # the last commit against the workspace
python -m pipeline diff main puffy-fire # a branch against a DVC experiment
"""

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heads.metrics.intervals import Interval, paired_interval
from heads.metrics.mcnemar import Flips, mcnemar
from pipeline.errors import ParamError
from pipeline.paths import dataset_folder

WORKSPACE = "workspace"
QUERIES = "scores/queries.parquet"
K = 2  # a query is hit when its match is among the best two of a list
NAMED = 10  # queries named as gained, and as lost


@dataclass(frozen=True)
class Run:
    """One run's scores of every test query. S seeds, Q queries."""

    name: str
    protocol: str
    ids: NDArray[np.object_]  # (Q,)
    clusters: NDArray[np.object_]  # (Q,)
    scores: dict[str, NDArray[np.float64]]  # name -> (S, Q)


@dataclass(frozen=True)
class Comparison:
    before: Run
    after: Run
    change: dict[str, Interval]  # score -> after minus before
    hits: Flips  # positions in ids


def run(dataset: str, revisions: tuple[str, str]) -> None:
    """Print the comparison of two revisions; `workspace` is what lies in the folder now."""
    before, after = (parse_run(read_queries(dataset, revision), name=revision) for revision in revisions)
    print(say(dataset, compare(before, after)))


def read_queries(dataset: str, revision: str) -> bytes:
    """`queries.parquet` of a git revision or DVC experiment, out of DVC's cache.

    Raises:
        ParamError: there is no such revision, it has no such file, or the cache does not hold it.
    """
    import dvc.api
    from dvc.exceptions import DvcException, PathMissingError
    from dvc.scm import SCMError

    path = (dataset_folder(dataset) / QUERIES).as_posix()
    try:
        return dvc.api.read(path, rev=None if revision == WORKSPACE else revision, mode="rb")
    except SCMError:
        raise ParamError(f"no revision or experiment '{revision}'; `git log` and `dvc exp show` list them") from None
    except (PathMissingError, FileNotFoundError):
        remedy = (
            "run `dvc repro evaluate`" if revision == WORKSPACE else "if it evaluated this data set, `dvc fetch` it"
        )
        raise ParamError(f"no {path} of '{revision}' here; {remedy}") from None
    except DvcException as error:
        raise ParamError(f"{path} of '{revision}': {' '.join(str(error).split())}") from None


def parse_run(content: bytes, *, name: str, model: str = "head") -> Run:
    """The scores of the head, or of the `baseline`.

    Raises:
        ParamError: the file is of another version of this project.
    """
    try:
        table = pq.read_table(io.BytesIO(content))
        protocol = (table.schema.metadata or {})[b"protocol"].decode()
        models, seed = (np.array(table[column].to_pylist(), dtype=object) for column in ("model", "seed"))
        chosen = models == model
        first = chosen & (seed == 0)
        ids, clusters = (np.array(table[column].to_pylist(), dtype=object)[first] for column in ("id", "cluster"))
        fixed = {"model", "seed", "id", "cluster", "seen"}
        scores = {
            column: np.array(table[column].to_pylist(), dtype=np.float64)[chosen].reshape(-1, len(ids))
            for column in table.column_names
            if column not in fixed
        }
    except (pa.ArrowInvalid, KeyError, ValueError):
        raise ParamError(f"the scores of '{name}' are of another version of this project; evaluate it again") from None
    return Run(name, protocol, ids, clusters, scores)


def compare(before: Run, after: Run) -> Comparison:
    """
    Raises:
        ParamError: the runs answer different questions: their protocols, or their queries, differ.
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


def say(dataset: str, found: Comparison) -> str:
    before, after = found.before, found.after
    lines = [f"{dataset}: {before.name} -> {after.name}; {len(before.ids):,} queries, protocol {before.protocol[:16]}"]
    lines += [f"  {'in per cent':20}{'before':>9}{'after':>9}{'change':>9}   95 % interval"]
    for name, change in found.change.items():
        values = (before.scores[name].mean(), after.scores[name].mean(), change.mean)
        shown = f"{100 * values[0]:>9.1f}{100 * values[1]:>9.1f}{100 * values[2]:>+9.1f}"
        clear = " *" if change.low > 0 or change.high < 0 else ""
        lines.append(f"  {name:20}{shown}   {100 * change.low:+.1f} to {100 * change.high:+.1f}{clear}")
    lines += ["  * the interval, over queries and seeds, is clear of zero"]
    hits = found.hits
    lines += [f"  hits at {K}: {len(hits.gained)} gained, {len(hits.lost)} lost (McNemar p = {hits.p_value:.2g})"]
    for kind, places in (("gained", hits.gained), ("lost", hits.lost)):
        if len(places):
            more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
            lines.append(f"  {kind}: {', '.join(before.ids[places[:NAMED]])}{more}")
    return "\n".join(lines)

"""What evaluate leaves for others: the full table, every query's scores, and the csv files that DVC plots."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.tables.rows import Rows
from heads.metrics.classification import most_confused
from heads.metrics.evaluation import Evaluation
from heads.metrics.score_table import RunEvaluations, ScoreRow
from heads.metrics.verification import Roc
from pipeline.shared.csv_text import csv_bytes

BY_QUERY = ("top1", "top2", "top5", "recall_at_1", "recall_at_5", "recall_at_20", "mrr", "map_at_r", "triplet_accuracy")
BINS = 40
BY_GROUP = ("recall_at_1", "map_at_r")
FEW_CLASSES = 30
MOST_CONFUSED = 20


def table_csv(table: Sequence[ScoreRow]) -> bytes:
    """All rows of the score table."""
    names = [item.name for item in fields(ScoreRow)]
    return csv_bytes(names, ([_cell(getattr(line, name)) for name in names] for line in table))


def queries_parquet(
    scores: RunEvaluations, rows: Rows, *, clusters: NDArray[np.object_], protocol: str, head: str
) -> bytes:
    """One row per model (`head`, `baseline`), seed and test query; the hashes of protocol and head are in the schema's
    metadata.

    `clusters` (N,): the cluster of every row.
    """
    tables = []
    whole = scores.of("test")
    for model, seed, evaluation in [("head", s, of) for s, of in enumerate(whole.head)] + [
        ("baseline", 0, whole.baseline)
    ]:
        names = [name for name in BY_QUERY if name in evaluation.by_query]
        size = len(evaluation.queries)
        columns = {
            "model": _words([model] * size, one_value=True),
            "seed": _numbers(np.full(size, seed), pa.int16()),
            "id": _words(rows.id[evaluation.queries]),
            "cluster": _words(clusters[evaluation.queries]),
            "seen": _numbers(rows.seen[evaluation.queries], pa.bool_()),
        }
        columns |= {name: _numbers(np.round(evaluation.by_query[name], 6), pa.float32()) for name in names}
        tables.append(pa.Table.from_arrays(list(columns.values()), names=list(columns)))
    table = pa.concat_tables(tables).unify_dictionaries().replace_schema_metadata({"protocol": protocol, "head": head})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def scored_head(path: Path) -> str | None:
    """`heads.store.head_sha256` of the head whose scores a queries.parquet holds; None where it says nothing whole."""
    try:
        return (pq.read_schema(path).metadata or {})[b"head"].decode()
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError):
        return None


def _numbers(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """An array of numbers or truth values. `pa.array` would import pandas and pyarrow.compute: half a second."""
    flat = (
        np.packbits(values, bitorder="little") if pa.types.is_boolean(kind) else values.astype(kind.to_pandas_dtype())
    )
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(flat))])


def _words(values: Sequence[str] | NDArray[np.object_], *, one_value: bool = False) -> pa.Array:
    """An array of strings; of one value in all, as a dictionary."""
    if one_value:
        return pa.DictionaryArray.from_arrays(_numbers(np.zeros(len(values)), pa.int32()), _words(values[:1]))
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


def hit_rate_csv(scores: RunEvaluations) -> bytes:
    """Hit rate at k in candidate lists, k = 1..C."""
    whole = scores.of("test")
    head, baseline = np.mean([seed.hit_curve for seed in whole.head], axis=0), whole.baseline.hit_curve
    size = len(head)
    rows = ([k + 1, _cell(head[k]), _cell(baseline[k]), _cell((k + 1) / size)] for k in range(size))
    return csv_bytes(["k", "head", "baseline", "chance"], rows)


def similarity_csv(scores: RunEvaluations) -> bytes:
    """Share of positive and of negative pairs by similarity under the first seed's head, in bins of equal width."""
    evaluation = scores.of("test").head[0]
    low, high = _range(evaluation)
    edges = np.linspace(low, high, BINS + 1)
    kinds = (evaluation.pairs.positives, evaluation.pairs.negatives)
    shares = [
        np.histogram(np.clip(kind.values.astype(np.float64), low, high), edges, weights=kind.counts)[0] / kind.total
        for kind in kinds
    ]
    middles = (edges[:-1] + edges[1:]) / 2
    rows = ([_cell(m), _cell(a), _cell(b)] for m, a, b in zip(middles, *shares, strict=True))
    return csv_bytes(["similarity", "positive", "negative"], rows)


def roc_csv(scores: RunEvaluations) -> bytes:
    """True positive rate at false positive rates 0 to 1 in hundredths, and finer towards 0 as the pairs allow."""
    whole = scores.of("test")
    heads, baseline = [seed.roc for seed in whole.head], whole.baseline.roc
    grid = np.unique(np.round(np.concatenate([np.geomspace(1e-4, 1, 41), np.linspace(0, 1, 101)]), 6))
    rows = (
        [_cell(x), _cell(np.mean([_accepted(curve, x) for curve in heads])), _cell(_accepted(baseline, x)), _cell(x)]
        for x in grid
    )
    return csv_bytes(["false positive rate", "head", "baseline", "chance"], rows)


def confusion_csv(scores: RunEvaluations, rows: Rows) -> bytes:
    """Actual and predicted (first seed) per query: classes, or where they are many, positive or negative pairs."""
    evaluation = scores.of("test").head[0]
    if evaluation.predicted is not None and len(np.unique(evaluation.truth)) <= FEW_CLASSES:
        names = _names(rows)
        answers = (
            [names[truth], names[predicted]]
            for truth, predicted in zip(evaluation.truth.tolist(), evaluation.predicted.tolist(), strict=True)
        )
    else:
        kinds = ("positive", "negative")
        counts = evaluation.decisions
        shares = [counts.true_accepts, counts.misses, counts.false_accepts, counts.true_rejects]
        totals = [counts.true_accepts + counts.misses] * 2 + [counts.false_accepts + counts.true_rejects] * 2
        times = [round(1000 * share / total) for share, total in zip(shares, totals, strict=True)]
        cells = [(actual, predicted) for actual in kinds for predicted in kinds]
        answers = (cell for cell, count in zip(cells, times, strict=True) for _ in range(count))
    return csv_bytes(["actual", "predicted"], answers)


def confused_csv(scores: RunEvaluations, rows: Rows) -> bytes:
    """The most frequent errors of the nearest neighbours where groups are classes: counts are means over seeds."""
    evaluations = scores.of("test").head
    lines: list[list[Any]] = []
    if all(evaluation.predicted is not None for evaluation in evaluations):
        names, queries = _names(rows), Counter(evaluations[0].truth.tolist())
        truth, predicted = (
            np.concatenate([getattr(evaluation, side) for evaluation in evaluations]) for side in ("truth", "predicted")
        )
        for error in most_confused(truth, predicted, most=MOST_CONFUSED):
            count, total = error.count / len(evaluations), queries[error.truth]
            lines.append([names[error.truth], names[error.predicted], _cell(count), total, _cell(count / total)])
    return csv_bytes(["actual", "predicted", "count", "queries", "share"], lines)


def groups_csv(scores: RunEvaluations, rows: Rows) -> bytes:
    """Every group with queries, by the head (mean over seeds) and by the baseline, in the order of their names."""
    whole = scores.of("test")
    heads, baseline = whole.head, whole.baseline
    codes = rows.labels[baseline.queries]
    found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    names = _names(rows)

    def means(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values) / counts

    columns = [
        means(np.mean([evaluation.by_query[name] for evaluation in evaluations], axis=0))
        for name in BY_GROUP
        for evaluations in (heads, [baseline])
    ]
    seen = dict(zip(codes.tolist(), rows.seen[baseline.queries].tolist(), strict=True))
    lines = (
        [names[code], str(seen[code]).lower(), int(count), *map(_cell, cells)]
        for code, count, *cells in zip(found.tolist(), counts, *columns, strict=True)
    )
    header = [f"{name}{side}" for name in BY_GROUP for side in ("", "_baseline")]
    return csv_bytes(["group", "seen", "queries", *header], lines)


def _names(rows: Rows) -> dict[int, str]:
    return dict(zip(rows.labels.tolist(), rows.group, strict=True))


def _accepted(curve: Roc, at: float) -> float:
    return float(np.interp(at, curve.false_accept, curve.true_accept))


def _range(evaluation: Evaluation) -> tuple[float, float]:
    """Similarities that all but one in a thousand lie between."""
    both = np.concatenate([evaluation.pairs.sample.positives, evaluation.pairs.sample.negatives])
    low, high = np.quantile(both, [0.0005, 0.9995])
    low, high = min(low, evaluation.threshold), max(high, evaluation.threshold, evaluation.pairs.sample.positives.max())
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float | np.floating) else value

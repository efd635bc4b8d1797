"""What evaluate leaves for others: the full table, every query's scores, and the csv files that DVC plots."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.tables.rows import Rows
from heads.metrics.classification import most_confused
from heads.metrics.evaluation import Card, merge
from heads.metrics.score_table import Line, Scores
from heads.metrics.verification import Roc

BY_QUERY = ("top1", "top2", "top5", "recall_at_1", "recall_at_5", "recall_at_20", "mrr", "map_at_r", "triplet_accuracy")
BINS = 40
BY_GROUP = ("recall_at_1", "map_at_r")
FEW_CLASSES = 30
MOST_CONFUSED = 20


def table_csv(table: Sequence[Line]) -> bytes:
    """All lines of the full table."""
    names = [item.name for item in fields(Line)]
    return _csv(names, ([_cell(getattr(line, name)) for name in names] for line in table))


def queries_parquet(scores: Scores, rows: Rows, *, clusters: NDArray[np.object_], protocol: str) -> bytes:
    """One row per model (`head`, `baseline`), seed and test query; the protocol's hash is in the schema's metadata.

    `clusters` (N,): the cluster of every row.
    """
    tables = []
    for model, seed, card in [("head", s, parts) for s, parts in enumerate(scores.head)] + [
        ("baseline", 0, scores.plain)
    ]:
        card = merge(list(card.values()))
        names = [name for name in BY_QUERY if name in card.by_query]
        size = len(card.queries)
        columns: dict[str, Any] = {
            "model": pa.array([model] * size).dictionary_encode(),
            "seed": pa.array([seed] * size, pa.int16()),
            "id": pa.array(rows.id[card.queries].tolist(), pa.string()),
            "cluster": pa.array(clusters[card.queries].tolist(), pa.string()),
            "seen": pa.array(rows.seen[card.queries].tolist(), pa.bool_()),
        }
        columns |= {name: pa.array(np.round(card.by_query[name], 6).astype(np.float32)) for name in names}
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables).unify_dictionaries().replace_schema_metadata({"protocol": protocol})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def hit_rate_csv(scores: Scores) -> bytes:
    """Hit rate at k in candidate lists, k = 1..C."""
    head = np.mean([merge(list(parts.values())).curve for parts in scores.head], axis=0)
    plain = merge(list(scores.plain.values())).curve
    size = len(head)
    rows = ([k + 1, _cell(head[k]), _cell(plain[k]), _cell((k + 1) / size)] for k in range(size))
    return _csv(["k", "head", "baseline", "chance"], rows)


def similarity_csv(scores: Scores) -> bytes:
    """Share of matches and of non-matches by similarity to the first seed's head, in bins of equal width."""
    card = merge(list(scores.head[0].values()))
    low, high = _range(card)
    edges = np.linspace(low, high, BINS + 1)
    kinds = (kind.astype(np.float64) for kind in (card.pairs.matches, card.pairs.others))
    shares = [np.histogram(np.clip(kind, low, high), edges)[0] / len(kind) for kind in kinds]
    middles = (edges[:-1] + edges[1:]) / 2
    rows = ([_cell(m), _cell(a), _cell(b)] for m, a, b in zip(middles, *shares, strict=True))
    return _csv(["similarity", "positive", "negative"], rows)


def roc_csv(scores: Scores) -> bytes:
    """True accepts at false accepts: 0 to 1 in hundredths, and finer towards 0 as far as the pairs allow."""
    heads = [merge(list(parts.values())).roc for parts in scores.head]
    plain = merge(list(scores.plain.values())).roc
    grid = np.unique(np.round(np.concatenate([np.geomspace(1e-4, 1, 41), np.linspace(0, 1, 101)]), 6))
    rows = (
        [_cell(x), _cell(np.mean([_accepted(curve, x) for curve in heads])), _cell(_accepted(plain, x)), _cell(x)]
        for x in grid
    )
    return _csv(["false positive rate", "head", "baseline", "chance"], rows)


def confusion_csv(scores: Scores, rows: Rows) -> bytes:
    """What was and what the first seed said, answer by answer: classes where there are few, else alike or different."""
    card = merge(list(scores.head[0].values()))
    if card.said is not None and len(np.unique(card.truth)) <= FEW_CLASSES:
        names = _names(rows)
        answers = (
            [names[truth], names[said]] for truth, said in zip(card.truth.tolist(), card.said.tolist(), strict=True)
        )
    else:
        kinds = ("alike", "different")
        counts = card.decisions
        shares = [counts.true_accepts, counts.misses, counts.false_accepts, counts.true_rejects]
        totals = [counts.true_accepts + counts.misses] * 2 + [counts.false_accepts + counts.true_rejects] * 2
        times = [round(1000 * share / total) for share, total in zip(shares, totals, strict=True)]
        cells = [(actual, said) for actual in kinds for said in kinds]
        answers = (cell for cell, count in zip(cells, times, strict=True) for _ in range(count))
    return _csv(["actual", "predicted"], answers)


def confused_csv(scores: Scores, rows: Rows) -> bytes:
    """The most frequent wrong answers of the nearest images where groups are classes: counts are means over seeds."""
    cards = [merge(list(parts.values())) for parts in scores.head]
    lines: list[list[Any]] = []
    if all(card.said is not None for card in cards):
        names, asked = _names(rows), Counter(cards[0].truth.tolist())
        truth, said = (np.concatenate([getattr(card, side) for card in cards]) for side in ("truth", "said"))
        for error in most_confused(truth, said, most=MOST_CONFUSED):
            count, total = error.count / len(cards), asked[error.truth]
            lines.append([names[error.truth], names[error.said], _cell(count), total, _cell(count / total)])
    return _csv(["actual", "predicted", "count", "queries", "share"], lines)


def groups_csv(scores: Scores, rows: Rows) -> bytes:
    """Every group that was asked for, by the head (mean over seeds) and without; groups in the order of their names."""
    heads, bare = [merge(list(parts.values())) for parts in scores.head], merge(list(scores.plain.values()))
    codes = rows.labels[bare.queries]
    found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    names = _names(rows)

    def means(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=values) / counts

    columns = [
        means(np.mean([card.by_query[name] for card in cards], axis=0))
        for name in BY_GROUP
        for cards in (heads, [bare])
    ]
    seen = dict(zip(codes.tolist(), rows.seen[bare.queries].tolist(), strict=True))
    lines = (
        [names[code], str(seen[code]).lower(), int(count), *map(_cell, cells)]
        for code, count, *cells in zip(found.tolist(), counts, *columns, strict=True)
    )
    header = [f"{name}{side}" for name in BY_GROUP for side in ("", "_baseline")]
    return _csv(["group", "seen", "queries", *header], lines)


def _names(rows: Rows) -> dict[int, str]:
    return dict(zip(rows.labels.tolist(), rows.group, strict=True))


def _accepted(curve: Roc, at: float) -> float:
    return float(np.interp(at, curve.false_accept, curve.true_accept))


def _range(card: Card) -> tuple[float, float]:
    """Similarities that all but one in a thousand lie between."""
    both = np.concatenate([card.pairs.matches, card.pairs.others])
    low, high = np.quantile(both, [0.0005, 0.9995])
    low, high = min(low, card.threshold), max(high, card.threshold, card.pairs.matches.max())
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float | np.floating) else value


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()

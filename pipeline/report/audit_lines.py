"""The audit of a data set for people: in words, and its nearly identical pictures side by side."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.datasets.source import first_five, shown
from data.preparation.audit import Audit
from data.tables.protocol import Protocol
from data.tables.rows import Rows, read_thumbs

TILE, COLUMNS, PAIRS = 72, 8, 64
NAMED = 20  # rejected images that are named


def audit_lines(found: Audit, protocol: Protocol, rows: Rows) -> list[str]:
    """What was prepared, what was rejected, and what stands in two places; lines that start with spaces are details."""
    counts = protocol.counts
    text = [f"{protocol.dataset}: {counts['images']:,} images of {counts['groups']:,} groups ({protocol.group_level})"]
    text += [
        f"  {name:11} {split['images']:>9,} images {split['groups']:>7,} groups"
        for name in ("train", "val", "test", "test_seen", "test_unseen", "submit")
        if (split := counts["splits"].get(name))
    ]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts["rejected"].items())
    text.append(f"rejected: {reasons or 'none'}")
    text += [
        f"  {shown(image.id)}: {image.reason} {shown(image.detail)}".rstrip() for image in protocol.rejected[:NAMED]
    ]
    if len(protocol.rejected) > NAMED:
        text.append(f"  and {len(protocol.rejected) - NAMED:,} more, in protocol.json")
    text.append(f"groups that straddle splits: {_some(found.straddling)}")
    text.append(f"identical pictures in two splits: {_rows_of(found.identical, rows)}")
    text.append(f"identical pictures of different groups: {_rows_of(found.contradictions, rows)}")
    for (a, b), near in found.near.items():
        some = first_five(" ~ ".join(rows.id[row] for row in pair) for pair in near.pairs[:5])
        text.append(f"nearly identical pictures in {a} and {b}: {near.total:,}" + (f" ({some})" if some else ""))
    return text


def near_pairs(found: Audit) -> NDArray[np.int64]:
    """(P, 2) rows of the first `PAIRS` pairs of nearly identical pictures in two splits."""
    return np.concatenate([np.empty((0, 2), np.int64), *(near.pairs for near in found.near.values())])[:PAIRS]


def draw_pairs(pairs: NDArray[np.int64], rows_path: Path) -> bytes:
    """PNG: pairs (P, 2) of thumbnails side by side, eight pairs a line."""
    thumbs = read_thumbs(rows_path, pairs.ravel())
    height = max(1, -(-len(pairs) // COLUMNS))
    step = 2 * TILE + 12
    sheet = Image.new("RGB", (COLUMNS * step, height * (TILE + 8)), "white")
    for index, content in enumerate(thumbs):
        pair, side = divmod(index, 2)
        place = (pair % COLUMNS * step + side * (TILE + 2), pair // COLUMNS * (TILE + 8))
        sheet.paste(Image.open(io.BytesIO(content)).convert("RGB"), place)
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _some(names: list[str]) -> str:
    return f"{len(names):,} ({first_five(names)})" if names else "none"


def _rows_of(held: list[list[int]], rows: Rows) -> str:
    return _some([" = ".join(rows.id[row] for row in one) for one in held])

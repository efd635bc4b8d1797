"""`audit`: what was prepared, what was rejected, and where the same picture or group is in two splits."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from data.audit import Audit, audit
from data.files import atomic_file
from data.protocol import Protocol, read_protocol
from data.rows import Rows, read_looks, read_rows, read_thumbs
from data.source import first_five, shown
from pipeline.params import Params
from pipeline.paths import dataset_folder

_TILE, _COLUMNS, _PAIRS = 72, 8, 64


def run(params: Params, picture: Path | None) -> None:
    """Print the audit; with `picture`, draw the nearest pairs side by side."""
    folder = dataset_folder(params)
    protocol, rows = read_protocol(folder / "protocol.json"), read_rows(folder / "rows.parquet")
    found = audit(rows, protocol, read_looks(folder / "rows.parquet"))
    print("\n".join(lines(found, protocol, rows)))
    if picture is not None:
        pairs = np.concatenate([near.pairs for near in found.near.values()])[:_PAIRS]
        draw(pairs, folder / "rows.parquet", picture)
        print(f"{len(pairs)} pairs drawn to {picture}")


def lines(found: Audit, protocol: Protocol, rows: Rows) -> list[str]:
    """The audit in words, also for the report."""
    counts = protocol.counts
    text = [f"{protocol.dataset}: {counts['images']:,} images of {counts['groups']:,} groups ({protocol.group_level})"]
    text += [
        f"  {name:11} {split['images']:>9,} images {split['groups']:>7,} groups"
        for name in ("train", "val", "test", "test_seen", "test_unseen", "submit")
        if (split := counts["splits"].get(name))
    ]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts["rejected"].items())
    text.append(f"rejected: {reasons or 'none'}")
    text += [f"  {shown(image.id)}: {image.reason} {shown(image.detail)}".rstrip() for image in protocol.rejected[:20]]
    if len(protocol.rejected) > 20:
        text.append(f"  and {len(protocol.rejected) - 20:,} more, in protocol.json")
    text.append(f"groups that straddle splits: {_some(found.straddling)}")
    text.append(f"identical pictures in two splits: {_rows_of(found.identical, rows)}")
    text.append(f"identical pictures of different groups: {_rows_of(found.contradictions, rows)}")
    for (a, b), near in found.near.items():
        some = first_five(" ~ ".join(rows.id[row] for row in pair) for pair in near.pairs[:5])
        text.append(f"nearly identical pictures in {a} and {b}: {near.total:,}" + (f" ({some})" if some else ""))
    return text


def draw(pairs: np.ndarray, rows_path: Path, out: Path) -> None:
    """Pairs (P, 2) of thumbnails side by side, eight pairs a line, as PNG."""
    thumbs = read_thumbs(rows_path, pairs.ravel())
    height = max(1, -(-len(pairs) // _COLUMNS))
    step = 2 * _TILE + 12
    sheet = Image.new("RGB", (_COLUMNS * step, height * (_TILE + 8)), "white")
    for index, content in enumerate(thumbs):
        pair, side = divmod(index, 2)
        place = (pair % _COLUMNS * step + side * (_TILE + 2), pair // _COLUMNS * (_TILE + 8))
        sheet.paste(Image.open(BytesIO(content)).convert("RGB"), place)
    with atomic_file(out) as file:
        sheet.save(file, "PNG")


def _some(names: list[str]) -> str:
    return f"{len(names):,} ({first_five(names)})" if names else "none"


def _rows_of(held: list[list[int]], rows: Rows) -> str:
    return _some([" = ".join(rows.id[row] for row in one) for one in held])

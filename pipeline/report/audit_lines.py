"""The audit of a data set in words."""

from data.datasets.source import first_five, shown
from data.preparation.audit import Audit
from data.tables.protocol import Protocol
from data.tables.rows import Rows

NAMED = 20  # rejected images that are named


def audit_lines(found: Audit, protocol: Protocol, rows: Rows) -> list[str]:
    """What was prepared, what was rejected, and what is in two places; lines that start with spaces are details."""
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
    text += [f"note: {shown(note)}" for note in protocol.notes]
    text.append(f"groups that only train: {_some(found.only_train)}")
    for name, groups in found.unmatched.items():
        text.append(f"groups of one image in {name}, which has no match: {_some(groups)}")
    text.append(f"groups in more than one split: {_some(found.straddling)}")
    text.append(f"identical images in two splits: {_rows_of(found.identical, rows)}")
    text.append(f"identical images of different groups: {_rows_of(found.contradictions, rows)}")
    for (a, b), near in found.near.items():
        some = first_five(" ~ ".join(str(rows.id[row]) for row in pair) for pair in near.pairs[:5])
        text.append(f"nearly identical images in {a} and {b}: {near.total:,}" + (f" ({some})" if some else ""))
    return text


def _some(names: list[str]) -> str:
    return f"{len(names):,} ({first_five(names)})" if names else "none"


def _rows_of(groups: list[list[int]], rows: Rows) -> str:
    return _some([" = ".join(str(rows.id[row]) for row in one) for one in groups])

"""`prepare`: read the data set, reject what cannot be used, split it, freeze the evaluation lists."""

from pathlib import Path

from data.build import Title, build
from data.catalogue import CATALOGUE
from data.protocol import Protocol
from pipeline.params import Params
from pipeline.progress import progress


def run(params: Params) -> None:
    name = params.data.name
    entry = CATALOGUE[name]
    out = Path("artifacts") / name
    source = entry.open()
    with progress(2 * len(source.items), f"prepare {name}") as advance:
        protocol = build(
            source,
            out,
            title=Title(name, entry.source, entry.licence),
            settings=params.data,
            seed=params.seed,
            max_rejected=0,
            progress=advance,
        )
    print(report(protocol, out))


def report(protocol: Protocol, out: Path) -> str:
    """What was done, in a few lines; rejected images are said aloud."""
    counts = protocol.counts
    splits = ", ".join(
        f"{name} {split['images']:,} images of {split['groups']:,} groups" for name, split in counts["splits"].items()
    )
    lines = [f"{protocol.dataset}: {counts['images']:,} images, {counts['groups']:,} groups ({protocol.group_level})"]
    lines += [f"  {splits}"]
    queries, size = protocol.candidates.candidates.shape
    drawn = [f"{queries:,} candidate lists of {size}"]
    for kind in ("pairs", "triplets", "episodes"):
        drawn += [f"{kind} for {', '.join(lists)}"] if (lists := getattr(protocol, kind)) else []
    lines += [f"  frozen: {'; '.join(drawn)}"]
    if protocol.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts["rejected"].items())
        named = ", ".join(image.id for image in protocol.rejected[:5])
        more = f" and {len(protocol.rejected) - 5} more" if len(protocol.rejected) > 5 else ""
        lines += [f"  REJECTED {len(protocol.rejected):,}: {reasons} ({named}{more}); all are listed in protocol.json"]
    lines += [f"  note: {note}" for note in protocol.notes]
    lines += [f"  wrote images.parquet, rows.parquet, protocol.json to {out}"]
    return "\n".join(lines)

"""`prepare`: read the data set, reject what cannot be used, split it, draw the evaluation lists."""

from pathlib import Path

from data.catalogue import Dataset, SourceConfig, find_dataset
from data.datasets.source import first_five
from data.errors import did_you_mean
from data.files.download import download
from data.preparation.build import build
from data.preparation.draw_protocol import Attribution
from data.preparation.evaluation_lists import USUAL_SIZE
from data.settings import CATALOGUE_PATH, DataSettings
from data.tables.protocol import Protocol
from pipeline.errors import ParamError
from pipeline.params import Params
from pipeline.paths import dataset_folder
from pipeline.progress import progress


def run(params: Params) -> None:
    name, settings = params.data.name, params.data
    entry = find_dataset(name)
    source = entry.open(
        SourceConfig(
            archives=_download_archives(name, entry, settings),
            path=settings.path,
            label_level=_label_level(name, entry, settings),
        )
    )
    out = dataset_folder(params)
    with progress(2 * len(source.items), f"prepare {name}") as advance:
        protocol = build(
            source,
            out,
            attribution=Attribution(name, entry.source, entry.licence),
            settings=_with_defaults(entry, settings),
            seed=params.seed,
            split_by=settings.split_by or entry.split_by,
            max_rejected=entry.max_rejected if settings.max_rejected is None else settings.max_rejected,
            progress=advance,
        )
    print(report(protocol, out))


def report(protocol: Protocol, out: Path) -> str:
    """Counts, evaluation lists, rejected images and notes, in a few lines."""
    counts = protocol.counts
    splits = ", ".join(
        f"{name} {split['images']:,} of {split['groups']:,} groups" for name, split in counts["splits"].items()
    )
    lines = [f"{protocol.dataset}: {counts['images']:,} images, {counts['groups']:,} groups ({protocol.group_level})"]
    lines += [f"  {splits}"]
    queries, size = len(protocol.candidates.query) if protocol.candidates else 0, protocol.list_size
    shorter = "" if size >= USUAL_SIZE else " (the test is small)"
    drawn = [f"{queries:,} candidate lists of {size}{shorter}"]
    for kind in ("pairs", "triplets", "episodes"):
        drawn += [f"{kind} ({', '.join(lists)})"] if (lists := getattr(protocol, kind)) else []
    lines += [f"  frozen: {'; '.join(drawn)}"]
    if protocol.rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts["rejected"].items())
        named = first_five(image.id for image in protocol.rejected)
        lines += [f"  REJECTED {len(protocol.rejected):,}: {reasons} ({named}); all are listed in protocol.json"]
    lines += [f"  note: {note}" for note in protocol.notes]
    lines += [f"  wrote images.parquet, rows.parquet and protocol.json to {out}"]
    return "\n".join(lines)


def _download_archives(name: str, entry: Dataset, settings: DataSettings) -> dict[str, Path]:
    """The data set's archives, downloaded where they are not in the cache."""
    if entry.user_supplied and (settings.mirror is None or settings.path != CATALOGUE_PATH):
        return {}
    found = {}
    for archive in entry.archives:
        with progress(archive.size, f"fetch {archive.name}", unit="B") as advance:
            found[archive.name] = download(name, archive, mirror=settings.mirror, progress=advance)
    return found


def _label_level(name: str, entry: Dataset, settings: DataSettings) -> str:
    if settings.group is None or not entry.levels:
        return settings.group or "".join(entry.levels[:1])
    if settings.group not in entry.levels:
        raise ParamError(
            f"params.yaml: data.group: {name} has no level '{settings.group}'"
            f"{did_you_mean(settings.group, entry.levels)}"
        )
    return settings.group


def _with_defaults(entry: Dataset, settings: DataSettings) -> DataSettings:
    """Where params.yaml leaves seen, groups and leaks open, the data set's own."""
    changes = {
        name: getattr(entry, name)
        for name in ("seen", "groups", "allow_leak")
        if getattr(settings, name) is None and getattr(entry, name) is not None
    }
    return settings.model_copy(update=changes)

"""`datasets`: the catalogue, with what is here and what a download would cost, and the layouts of one's own images."""

from collections.abc import Iterator

from data.catalogue import CATALOGUE, Dataset
from data.files.cache import cache_root
from data.files.download import is_cached
from pipeline.commands.layouts import LAYOUTS, tree_lines
from pipeline.paths import dataset_folder


def run() -> None:
    for name, entry in CATALOGUE.items():
        print("\n".join(lines(name, entry)))
    print(f"Archives are kept in {cache_root()} ($LOOKALIKE_CACHE); data.mirror names a place to fetch them from.")
    print("\nYour own images, as a folder or a .zip; FOLDER is its path (absolute for --queue):")
    for layout in LAYOUTS:
        print(f"\n* {layout.description}")
        print("\n".join(f"    {line}" for line in tree_lines(layout.files)))
        print(f"  {layout.command}")
    print("\nprepare prints how it read them: which splits are kept or drawn, what was left out and why.")


def lines(name: str, entry: Dataset) -> Iterator[str]:
    yield f"{name:14} {state(name, entry)}"
    yield f"    {entry.description}"
    yield f"    source: {entry.source}"
    yield f"    licence: {entry.licence}"
    for archive in entry.archives:
        if archive.md5:
            yield f"    {archive.name}: {archive.size / 1e6:,.1f} MB, md5 {archive.md5}"


def state(name: str, entry: Dataset) -> str:
    """`prepared`, `here`, `to download: 11.6 MB`, `from data.path or data.mirror`."""
    prepared = "prepared; " if (dataset_folder(name) / "protocol.json").exists() else ""
    if entry.user_supplied:
        return f"{prepared}from data.path" + (" or data.mirror" if entry.archives else "")
    missing = [archive for archive in entry.archives if not is_cached(name, archive)]
    if not missing:
        return f"{prepared}here"
    return f"{prepared}to download: {sum(archive.size for archive in missing) / 1e6:,.1f} MB"

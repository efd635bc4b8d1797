"""What a row needs and this machine may lack: data, weights, a GPU."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from data.catalogue import find_dataset
from data.errors import DataError
from data.files.download import Archive, download, is_cached
from data.settings import CATALOGUE_PATH
from features.errors import FeatureError
from features.settings import Backbone
from pipeline.params import Params
from pipeline.progress import progress
from pipeline.studies.plan import PlannedRow


@dataclass(frozen=True)
class Requirement:
    """State `here`; `to fetch`, with what and how large; or `missing`, with the remedy."""

    state: str
    what: str = ""
    fetch: Callable[[], object] | None = field(default=None, compare=False)  # raises DataError or FeatureError


HERE = Requirement("here")


def unmet(planned: PlannedRow, *, gpu: Callable[[], bool]) -> list[Requirement]:
    """Requirements that are not here; nothing is fetched."""
    params, backbones = planned.experiments[0].params, planned.experiments[0].backbones
    found = [of_data(params)]
    found += [of_weights(params_key(params, name), entry) for name, entry in backbones.items()]
    found += [of_gpu(planned.row.gpu, gpu=gpu)]
    return [each for each in found if each.state != "here"]


def params_key(params: Params, name: str) -> str:
    """The key of params.yaml that names the network of the feature set `name`."""
    return f"finetunes.{name}.network" if name in params.finetunes else f"backbones.{name}"


def fetch(
    requirements: list[Requirement], *, tried: dict[str, Requirement], mirror: str | None = None
) -> list[Requirement]:
    """Those that are still unmet after fetching what can be; a failed fetch is kept in `tried` and not repeated."""
    for each in requirements:
        if each.fetch is not None and each.what not in tried:
            try:
                each.fetch()
                tried[each.what] = HERE
            except DataError as error:
                tried[each.what] = Requirement("missing", f"data: {without_places(error, mirror)}")
            except FeatureError as error:
                tried[each.what] = Requirement("missing", f"weights: {without_places(error, mirror)}")
    return [now for each in requirements if (now := tried.get(each.what, each)).state != "here"]


def without_places(error: Exception, mirror: str | None) -> str:
    """The message without this machine's folders, for a table that others read."""
    text = str(error).replace(mirror, "MIRROR") if mirror else str(error)
    return text.replace(str(Path.home()), "~")


def of_data(params: Params) -> Requirement:
    """The data set's archives in the cache or the mirror, or the user's own place."""
    name, entry, data = params.data.name, find_dataset(params.data.name), params.data
    remedy = "give its place: --mirror FOLDER, or --path YOUR_COPY"
    if entry.user_supplied and data.path != CATALOGUE_PATH:
        return HERE if data.path.exists() else Requirement("missing", f"data: no {data.path.name} there; {remedy}")
    absent = [archive for archive in entry.archives if not is_cached(name, archive)]
    if entry.user_supplied and data.mirror is None:
        return Requirement("missing", f"data: {name} has no stable address to fetch it from; {remedy}")
    if not absent:
        return HERE
    megabytes = sum(archive.size for archive in absent) / 1e6
    size = f" ({megabytes:,.1f} MB)" if megabytes else ""
    what = f"data: {', '.join(archive.name for archive in absent)}{size}"
    return Requirement("to fetch", what, partial(_download_all, name, absent, data.mirror))


def _download_all(name: str, archives: list[Archive], mirror: str | None) -> None:
    for archive in archives:
        with progress(archive.size, f"fetch {archive.name}", unit="B") as advance:
            download(name, archive, mirror=mirror, progress=advance)


def of_gpu(cost: str | None, *, gpu: Callable[[], bool]) -> Requirement:
    if cost is None or gpu():
        return HERE
    return Requirement("missing", f"a GPU: without one it takes {cost}; run it all the same with --anyway")


def of_weights(where: str, entry: Backbone) -> Requirement:
    """A file, or a package, that is there; a published tag is for its library to find, on this disk or elsewhere."""
    source = entry.weights
    if source == "random" or Path(source).expanduser().is_file():
        return HERE
    if source.startswith("package:"):
        return _package(where, source.removeprefix("package:"))
    if entry.library == "local" or Path(source).suffix:
        remedy = "give a path" if Path(source).is_absolute() else "give its folder: --weights FOLDER"
        return Requirement("missing", f"weights: no file '{source}' for {where}; {remedy}")
    what = f"weights: {source} of {entry.model} ({where}), unless here already"
    return Requirement("to fetch", what, partial(_load, where, entry))


def _load(where: str, entry: Backbone) -> None:
    from features.backbones.registry import load_backbone

    section, _, name = where.partition(".")
    load_backbone(name, entry, section=section)


def _package(where: str, package: str) -> Requirement:
    from features.backbones.weights import from_package

    try:
        from_package(package, where)
    except FeatureError as error:
        return Requirement("missing", f"weights: {error}")
    return HERE

"""`python -m pipeline check`: what DVC would stumble over, in our words, before it runs.

params.yaml as a whole, the paths that it names, and the objects of DVC's cache behind dvc.lock. DVC trusts its cache:
a damaged object is restored again and again. Such objects are removed here, so that `dvc repro` makes them anew.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from data.catalogue import find_dataset
from data.settings import CATALOGUE_PATH
from pipeline.errors import ParamError
from pipeline.params import Params, load_params

LOCK = Path("dvc.lock")


def run() -> None:
    """
    Raises:
        ParamError, DataError: the first thing in params.yaml that cannot work, in one line.
    """
    params = load_params()
    check_places(params)
    print("params.yaml: no mistake found")
    checked, damaged = 0, []
    for path, digest in cached_objects():
        checked += 1
        if _md5(path) != digest:
            damaged.append(path)
            path.chmod(0o644)
            path.unlink()
    for path in damaged:
        print(f"removed {path}: not the bytes that it is named after")
    print(f"DVC's cache: {checked} objects behind {LOCK}, {len(damaged)} damaged" + "; run `dvc repro`" * bool(damaged))


def check_places(params: Params) -> None:
    """
    Raises:
        ParamError: a path is not there. DataError: no such data set.
    """
    path, entry = params.data.path, find_dataset(params.data.name)
    if path != CATALOGUE_PATH and not path.exists():
        raise ParamError(f"params.yaml: data.path: {path} is not there; give a path that exists (absolute for --queue)")
    if entry.user_supplied and path == CATALOGUE_PATH and params.data.mirror is None:
        raise ParamError(
            f"params.yaml: data.path: say where your data lie: -S data.name={params.data.name} -S data.path="
        )
    if params.head.of_user and not Path(params.head.code).exists():
        raise ParamError(f"params.yaml: head.code: {params.head.code} is not there; give the file of your loss")
    for name in params.features.backbones:
        weights = params.backbones[name].weights
        if "/" in weights and "://" not in weights and ":" not in weights and not Path(weights).expanduser().exists():
            raise ParamError(f"params.yaml: backbones.{name}.weights: no file {weights}")


def cached_objects() -> Iterator[tuple[Path, str]]:
    """(file in DVC's cache, its md5) of every output in dvc.lock that is there."""
    cache = cache_folder()
    if cache is None or not LOCK.exists():
        return
    lock = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8")) or {}
    digests = {
        out["md5"]: None for stage in lock.get("stages", {}).values() for out in stage.get("outs", []) if "md5" in out
    }
    for digest in digests:
        path = _object(cache, digest)
        if not path.exists():
            continue
        yield path, digest.removesuffix(".dir")
        if digest.endswith(".dir"):
            try:
                listed = [entry["md5"] for entry in json.loads(path.read_bytes())]
            except (OSError, ValueError, KeyError, TypeError):  # damaged, and removed by the caller
                continue
            yield from ((file, md5) for md5 in listed if (file := _object(cache, md5)).exists())


def cache_folder() -> Path | None:
    """Where DVC keeps objects by their md5; None outside a DVC repository."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return Path(repo.cache.local.path)
    except NotDvcRepoError:
        return None


def _object(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()

"""A row of a study to its experiments: whole params, `-S` overrides, and what identifies a result.

A row is what its file says, whatever the user has in `data` and `head` of params.yaml: every key of those sections is
set. What is the user's to say (the backbones' weights, batch sizes, where data lie) is taken from there.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.catalogue import CATALOGUE, find_dataset
from data.files.atomic import sha256_bytes
from data.settings import CATALOGUE_PATH, DataSettings
from heads.settings import HeadSettings, ScoreSettings
from pipeline.errors import ParamError
from pipeline.fingerprint import TOP, fingerprint
from pipeline.params import Params, parse_params
from pipeline.studies.settings import FOLDER, Row, Settings, Study

PINNED = {"data": DataSettings, "head": HeadSettings, "scores": ScoreSettings}  # sections that a row decides alone
MADE = tuple(
    key for key in ("fusions", "finetunes") if key in Params.model_fields
)  # a row has its own, not those of params.yaml
# Keys that came after results were committed: at these values a row asks what it asked before.
LATER = {"components": None, "whitening": 1.0}
WHERE = ("mirror", "path")  # where data lie, not what they are


@dataclass(frozen=True)
class Experiment:
    """One `dvc exp run`."""

    name: str
    params: Params
    overrides: tuple[str, ...]  # of `-S`

    @property
    def backbones(self) -> dict[str, Any]:
        """The entries that the head's features are made from, and the networks that training here starts from."""
        return used(self.params)


@dataclass(frozen=True)
class Planned:
    """A row with its experiments: one, or one a fold."""

    row: Row
    experiments: tuple[Experiment, ...]

    @property
    def settings(self) -> str:
        """What the row asks for, in 12 hex digits: a result under another number answers another question."""
        parts = [identity(experiment.params, where=False) for experiment in self.experiments]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def plan(name: str, study: Study, row: Row, raw: Mapping[str, Any], *, where: Mapping[str, str | None]) -> Planned:
    """
    Args:
        raw: params.yaml as a dict.
        where: `mirror` and `path` of the data, over those of params.yaml.

    Raises:
        ParamError: the row sets a key or value that params.yaml would not take.
    """
    folds = [{}] if row.folds is None else [{"data.folds": row.folds, "data.fold": fold} for fold in range(row.folds)]
    experiments = []
    for number, fold in enumerate(folds):
        settings = {**study.set, **row.set, **fold}
        filled = fill(raw, settings, where)
        params = parse_params(filled, where=f"{FOLDER / name}.yaml: row '{row.name}'")
        suffix = f"-fold{number}" if row.folds else ""
        experiments.append(Experiment(f"{name}-{row.slug}{suffix}", params, overrides(params, raw, settings)))
    return Planned(row, tuple(experiments))


def fill(raw: Mapping[str, Any], settings: Settings, where: Mapping[str, str | None]) -> dict[str, Any]:
    """`settings` on top of what a row does not decide, as a whole params.yaml."""
    filled = copy.deepcopy({key: value for key, value in raw.items() if key not in (*PINNED, *MADE)})
    filled |= {"seed": 0} | {section: {} for section in (*PINNED, *MADE)}
    filled["data"] |= _place(settings.get("data.name", DataSettings().name), raw.get("data") or {}, where)
    for key, value in settings.items():
        *parents, last = key.split(".")
        section = filled
        for parent in parents:
            if not isinstance(section.setdefault(parent, {}), dict):
                raise ParamError(f"{key}: {parent} is a value, not a section")
            section = section[parent]
        section[last] = copy.deepcopy(value)
    for entry in filled.get("backbones", {}).values():
        if isinstance(entry, dict) and Path(str(entry.get("weights"))).expanduser().is_file():
            entry["weights"] = absolute(entry["weights"])
    features = filled["head"].get("features")
    parts = filled["fusions"].get(features, {}).get("features", [features])
    made = [part for part in parts if part in filled.get("backbones", {})]
    # A trained network needs no frozen one, but the section wants an entry: it is not run, for no stage asks for it.
    filled["features"] = {**filled.get("features", {}), "backbones": made or [next(iter(filled["backbones"]))]}
    return filled


def _place(name: str, own: Mapping[str, Any], where: Mapping[str, str | None]) -> dict[str, str]:
    """Where the data of a set lie, as far as that is anybody's to say."""
    entry = CATALOGUE.get(name)
    mirror = (where.get("mirror") or own.get("mirror")) if entry and entry.archives else None
    path = where.get("path") or (
        own.get("path") if own.get("name") == name and own.get("path") != str(CATALOGUE_PATH) else None
    )
    places = (("mirror", mirror), ("path", path if entry and entry.user_supplied else None))
    return {key: absolute(str(value)) for key, value in places if value is not None}


def absolute(place: str) -> str:
    """An experiment runs in a folder of its own."""
    return place if "://" in place else str(Path(place).expanduser().resolve())


def overrides(params: Params, raw: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """What `dvc exp run -S` must be told to run `params` where params.yaml says `raw`.

    Hydra merges dicts, so what must not be mixed with the user's is taken away first.
    """
    words = [f"seed={params.seed}", f"features.backbones={spell(params.features.backbones)}"]
    for section in PINNED:
        own = raw.get(section) or {}
        for key, value in getattr(params, section).model_dump(mode="json").items():
            words += _replaced(f"{section}.{key}", value, known=key in own, was=own.get(key))
    for section in MADE:
        value = {name: entry.model_dump(mode="json") for name, entry in getattr(params, section).items()}
        words += _replaced(section, value, known=section in raw, was=raw.get(section))
    for name in params.features.backbones:
        was, now = raw["backbones"].get(name, {}).get("weights"), params.backbones[name].weights
        words += [f"++backbones.{name}.weights={spell(now)}"] if was not in (None, now) else []
    for key, value in settings.items():
        section, _, rest = key.partition(".")
        if section == "backbones":
            words += _replaced(key, value, known="." in rest or rest in raw["backbones"], was=value)
    return tuple(words)


def _replaced(key: str, value: Any, *, known: bool, was: Any) -> list[str]:
    away = [f"~{key}"] if known and isinstance(was, dict) and isinstance(value, dict) else []
    return [*away, f"++{key}={spell(value)}"]


def spell(value: Any) -> str:
    """A value as hydra reads it: null, true, 0.1, 'text', [1,2], {a: 1}."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{key}: {spell(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(spell(item) for item in value) + "]"
        case _:
            text = str(value).replace("\\", "\\\\").replace("'", "\\'")
            return f"'{text}'"


def used(params: Params) -> dict[str, Any]:
    """name -> Backbone: what the head's features are made from. A finetune's own start goes by the finetune's name."""
    fusion = params.fusions.get(params.head.features)
    parts = fusion.features if fusion else (params.head.features,)
    trained = params.finetunes
    return {part: trained[part].network if part in trained else params.backbones[part] for part in parts}


def identity(params: Params, *, where: bool = True) -> dict[str, Any]:
    """All that decides a result, as JSON. Without `where`: but for where a person keeps data and weights."""
    entire = params.model_dump(mode="json")
    keep = {key: entire[key] for key in ("seed", "data", "fusions", "finetunes", "head", "scores")}
    keep["backbones"] = {name: entry.model_dump(mode="json") for name, entry in used(params).items()}
    keep["head"] = {key: value for key, value in keep["head"].items() if key not in LATER or value != LATER[key]}
    keep["dtype"] = entire["features"]["dtype"]
    if not (where and find_dataset(params.data.name).user_supplied):  # a published data set is the same everywhere
        keep["data"] = {key: value for key, value in keep["data"].items() if key not in WHERE}
    if where:
        keep |= {"files": states} if (states := local_states(params)) else {}
    else:
        for entry in keep["backbones"].values():
            del entry["weights"]
    return keep


def local_states(params: Params) -> dict[str, str]:
    """What changes when a person's own weights or pictures do, though their path stays: place -> sizes and times."""
    places = [place for entry in used(params).values() if (place := Path(entry.weights).expanduser()).is_file()]
    if (
        find_dataset(params.data.name).user_supplied
        and params.data.path != CATALOGUE_PATH
        and params.data.path.exists()
    ):
        places.append(params.data.path)
    return {str(place): _state(place) for place in places}


def _state(place: Path) -> str:
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    stats = [(str(file.relative_to(place)), file.stat()) for file in files if file.is_file()]
    return sha256_bytes(json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode())


def code_sha256(top: Path = TOP) -> str:
    """The version of the program: dvc.yaml's stages and all code that they run."""
    text = (top / "dvc.yaml").read_text(encoding="utf-8").partition("\nplots:")[0]
    stages = [path.relative_to(top).as_posix() for path in sorted((top / "pipeline/stages").glob("*.py"))]
    return sha256_bytes((text + fingerprint(*stages, top=top)).encode())

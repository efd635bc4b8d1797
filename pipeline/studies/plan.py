"""The rows of a study as experiments: whole params for each.

A row decides every key of `data`, `head` and `scores`, whatever params.yaml says there. Weights of backbones, batch
sizes and the places of data are the user's and come from params.yaml.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.catalogue import CATALOGUE
from data.settings import CATALOGUE_PATH, DataSettings
from features.settings import Backbone
from pipeline.errors import ParamError
from pipeline.params import Params, parse_params
from pipeline.studies.identity import networks, row_identity, settings_hash
from pipeline.studies.row_code import code_sha256
from pipeline.studies.settings import FOLDER, Row, Settings, Study

DECIDED = ("data", "head", "scores")  # sections of which a row sets every key
NAMED = ("concatenations", "finetunes")  # sections of named entries: a row has its own, not those of params.yaml


@dataclass(frozen=True)
class Experiment:
    """One `dvc exp run`."""

    name: str
    params: Params
    raw: Mapping[str, Any]  # its params.yaml
    code: str  # hash of the code that it runs

    @property
    def backbones(self) -> dict[str, Backbone]:
        """The entries behind the head's features, and the networks that training here starts from."""
        return networks(self.params)


@dataclass(frozen=True)
class PlannedRow:
    """A row with its experiments: one, or one per fold."""

    row: Row
    experiments: tuple[Experiment, ...]

    @property
    def settings(self) -> str:
        """Hash of the row's params: a result under another hash is of another row."""
        return settings_hash([experiment.params for experiment in self.experiments])

    @property
    def code(self) -> str:
        """Hash of the code that the row runs."""
        return self.experiments[0].code

    @property
    def data(self) -> str:
        """The `data` settings: rows with equal ones are scored on the same images, on the same machine."""
        return json.dumps([row_identity(each.params)["data"] for each in self.experiments], sort_keys=True)


def plan_row(
    name: str, study: Study, row: Row, raw: Mapping[str, Any], *, places: Mapping[str, str | None]
) -> PlannedRow:
    """
    Args:
        raw: params.yaml as a dict.
        places: `mirror` and `path` of the data, over those of params.yaml, and the folder of `weights` files that the
            study names.

    Raises:
        ParamError: the row sets a key or value that params.yaml would not take.
    """
    folds = [{}] if row.folds is None else [{"data.folds": row.folds, "data.fold": fold} for fold in range(row.folds)]
    experiments = []
    for number, fold in enumerate(folds):
        filled = fill(raw, {**study.set, **row.set, **fold}, places)
        params = parse_params(filled, where=f"{FOLDER / name}.yaml: row '{row.name}'")
        suffix = f"-fold{number}" if row.folds else ""
        raw_params = _written_out(filled, params)
        experiments.append(Experiment(f"{name}-{row.slug}{suffix}", params, raw_params, code_sha256(params)))
    return PlannedRow(row, tuple(experiments))


def fill(raw: Mapping[str, Any], settings: Settings, places: Mapping[str, str | None]) -> dict[str, Any]:
    """A whole params.yaml: `settings` on top of what a row does not decide."""
    filled = copy.deepcopy({key: value for key, value in raw.items() if key not in (*DECIDED, *NAMED)})
    filled |= {"seed": 0} | {section: {} for section in (*DECIDED, *NAMED)}
    filled["data"] |= _places_of(settings.get("data.name", DataSettings().name), raw.get("data") or {}, places)
    for key, value in settings.items():
        *parents, last = key.split(".")
        section = filled
        for parent in parents:
            if not isinstance(section.setdefault(parent, {}), dict):
                raise ParamError(f"{key}: {parent} is a value, not a section")
            section = section[parent]
        section[last] = copy.deepcopy(value)
    for entry in filled.get("backbones", {}).values():
        if isinstance(entry, dict) and isinstance(entry.get("weights"), str):
            entry["weights"] = _weights_place(entry["weights"], places.get("weights"))
    features = filled["head"].get("features")
    parts = filled["concatenations"].get(features, {}).get("features", [features])
    frozen = [part for part in parts if part in filled.get("backbones", {})]
    # The section wants an entry even where the head's features are those of a network trained here; no stage runs it.
    filled["features"] = {**filled.get("features", {}), "backbones": frozen or [next(iter(filled["backbones"]))]}
    return filled


def absolute(place: str) -> str:
    """An experiment runs in a folder of its own."""
    return place if "://" in place else str(Path(place).expanduser().resolve())


def _written_out(filled: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """`filled` with every key of the sections that a row decides, for DVC compares whole sections."""
    whole = params.model_dump(mode="json")
    return {**filled, **{section: whole[section] for section in (*DECIDED, *NAMED)}}


def _weights_place(weights: str, folder: str | None) -> str:
    """A checkpoint's path, absolute if it is there: as it is, or in the folder of `--weights`."""
    for place in (weights, *([str(Path(folder) / weights)] if folder else [])):
        if Path(place).expanduser().is_file():
            return absolute(place)
    return weights


def _places_of(name: str, own: Mapping[str, Any], places: Mapping[str, str | None]) -> dict[str, str]:
    """`mirror` and `path` of a data set, as far as it takes them."""
    entry = CATALOGUE.get(name)
    mirror = (places.get("mirror") or own.get("mirror")) if entry and entry.archives else None
    theirs = own.get("path") if own.get("name") == name and own.get("path") != str(CATALOGUE_PATH) else None
    path = places.get("path") or theirs
    found = (("mirror", mirror), ("path", path if entry and entry.user_supplied else None))
    return {key: absolute(str(value)) for key, value in found if value is not None}

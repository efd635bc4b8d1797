"""params.yaml, read in one place and checked as a whole before any heavy import."""

from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML, YAMLError

from data.errors import did_you_mean
from data.settings import DataSettings
from features.finetuning.settings import Finetune
from features.settings import Backbone, FeatureSettings, Fusion
from heads.settings import HeadSettings, ScoreSettings
from pipeline.errors import ParamError


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int = Field(0, ge=0, lt=2**32)
    data: DataSettings
    backbones: dict[str, Backbone]
    features: FeatureSettings
    fusions: dict[str, Fusion] = {}
    finetunes: dict[str, Finetune] = {}
    head: HeadSettings
    scores: ScoreSettings = ScoreSettings()

    @property
    def feature_sets(self) -> list[str]:
        """Names under artifacts/<dataset>/features/ that the pipeline makes."""
        return [*self.features.backbones, *self.finetunes, *self.fusions]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check `path`.

    Raises:
        ParamError: one line naming the key, what is wrong with it, and the nearest valid spelling.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamError(f"{path}: not here; run from the project's top folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_params(raw, where=path.name)


def parse_params(raw: Any, *, where: str = "params.yaml") -> Params:
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise ParamError(f"{where}: {_first(error)}") from None
    _check_names(params, where)
    return params


def _check_names(params: Params, where: str) -> None:
    for name in params.features.backbones:
        if name not in params.backbones:
            raise ParamError(
                f"{where}: features.backbones: no backbone '{name}' in backbones{did_you_mean(name, params.backbones)}"
            )
    for section, named in (("fusions", params.fusions), ("finetunes", params.finetunes)):
        for name in named:
            if name in params.backbones:
                kind = section.removesuffix("s")
                raise ParamError(f"{where}: {section}: '{name}' is a backbone; give the {kind} a name of its own")
    for name in params.finetunes:
        if name in params.fusions:
            raise ParamError(f"{where}: finetunes: '{name}' is a fusion; give the finetune a name of its own")
    known = [*params.features.backbones, *params.finetunes]
    for name, fusion in params.fusions.items():
        for part in fusion.features:
            if part not in known:
                listed = "; add it to features.backbones" if part in params.backbones else ""
                raise ParamError(
                    f"{where}: fusions.{name}.features: no feature set '{part}'{listed}{did_you_mean(part, known)}"
                )
    if params.head.features not in params.feature_sets:
        listed = "; add it to features.backbones" if params.head.features in params.backbones else ""
        raise ParamError(
            f"{where}: head.features: no feature set '{params.head.features}'{listed}"
            f"{did_you_mean(params.head.features, params.feature_sets)}"
        )


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in one line; unknown words get their nearest valid spelling."""
    problem = error.errors(include_url=False)[0]
    # Members of a union that did not fit add a tag to the location; keys are what a person knows.
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "the whole file"
    value = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: no such key{did_you_mean(location[-1], _fields_at(location[:-1]))}"
        case "literal_error":
            return f"{key}: no '{value}'{did_you_mean(str(value), _choices_at(location))}"
        case "missing":
            return f"{key}: missing"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}"
        case _:
            return f"{key}: {value!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _type_at(location: list[str]) -> Any:
    """The declared type of the key at `location`, walking models and dicts of models."""
    kind: Any = Params
    for part in location:
        kind = next((arg for arg in _members(kind) if _is_container(arg)), kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if part in kind.model_fields:
                kind = kind.model_fields[part].annotation
        elif get_origin(kind) in (dict, tuple, list):
            args = [arg for arg in get_args(kind) if arg is not ...]
            kind = args[-1]
    return kind


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_container(kind: Any) -> bool:
    return get_origin(kind) in (dict, tuple, list) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _fields_at(location: list[str]) -> list[str]:
    models = [arg for arg in _members(_type_at(location)) if isinstance(arg, type) and issubclass(arg, BaseModel)]
    return [field for model in models for field in model.model_fields]


def _choices_at(location: list[str]) -> list[str]:
    literals = [arg for arg in _members(_type_at(location)) if get_origin(arg) is Literal]
    return [str(choice) for literal in literals for choice in get_args(literal)]

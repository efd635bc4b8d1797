"""Errors in params.yaml as one line: old names, unknown keys and values, values out of range."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from data.errors import did_you_mean

# Keys of version 0.1 (`*` is any name) -> their names of today; where only the value changed, `key=value`.
RENAMED = {
    "fusions": "concatenations",
    "head.keep": "head.cosine_weight",
    "scores.draws": "scores.n_bootstrap",
    "backbones.*.spread": "std_pool",
    "finetunes.*.network.spread": "std_pool",
    "finetunes.*.augment.turns": "rotations",
    "finetunes.*.layers=top": "projection",
    "backbones.*.library=lookalike": "local",
    "finetunes.*.network.library=lookalike": "local",
}
REMOVED = ("head.norm", "head.mixup", "finetunes.*.head.norm")  # keys of version 0.1


def old_name(raw: Any) -> str | None:
    """The first key or value of version 0.1, with its name of today or what to do."""
    for key, value in _leaves(raw):
        if any(fnmatchcase(key, removed) for removed in REMOVED):
            return f"{key} was removed, because no value of it was better on val: delete it"
        for old, new in RENAMED.items():
            if fnmatchcase(key, old):
                return f"{key} is now called {new}"
            if fnmatchcase(f"{key}={value}", old):
                return f"{key}: {value} is now called {new}"
    return None


def _leaves(raw: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, or with each value of a list; those of sections first."""
    if isinstance(raw, dict):
        for name, value in raw.items():
            inner = f"{key}.{name}" if key else str(name)
            yield from ((inner, each) for each in (value if isinstance(value, list) and value else [value]))
            yield from _leaves(value, inner)


def first_problem(error: ValidationError, root: type[BaseModel]) -> str:
    """The first thing that is wrong, in one line; unknown words get their nearest valid spelling.

    Args:
        root: the model that was validated.
    """
    problem = error.errors(include_url=False)[0]
    # Members of a union that did not fit add a tag to the location.
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "the whole file"
    value = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: no such key{did_you_mean(location[-1], _fields_at(root, location[:-1]))}"
        case "literal_error":
            return f"{key}: no '{value}'{did_you_mean(str(value), _choices_at(root, location))}"
        case "string_pattern_mismatch" if location[-1] == "[key]":
            section = ".".join(location[:-2])
            return f"{section}: '{value}': a name has only letters, digits, _ and -"
        case "missing":
            return f"{key}: missing"
        case "value_error":
            error_text = str(problem.get("ctx", {}).get("error"))
            return f"{key}: {error_text}" if location else error_text
        case _:
            return f"{key}: {value!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _type_at(root: type[BaseModel], location: list[str]) -> Any:
    """The declared type of the key at `location`, walking models and dicts of models."""
    kind: Any = root
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


def _fields_at(root: type[BaseModel], location: list[str]) -> list[str]:
    members = _members(_type_at(root, location))
    models = [arg for arg in members if isinstance(arg, type) and issubclass(arg, BaseModel)]
    return [field for model in models for field in model.model_fields]


def _choices_at(root: type[BaseModel], location: list[str]) -> list[str]:
    literals = [arg for arg in _members(_type_at(root, location)) if get_origin(arg) is Literal]
    return [str(choice) for literal in literals for choice in get_args(literal)]

"""The version of the code that a row's result is made with.

It covers the stages that the row's params run, its heads, the reader of its data set and the libraries of its networks:
an edit elsewhere leaves the row's result valid.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from data.catalogue import CATALOGUE, find_dataset
from data.files.atomic import sha256_bytes
from features.backbones.libraries import Library
from heads.models.cosine_mix import CosineMix
from heads.models.registry import HEADS
from heads.settings import HeadSettings
from pipeline.extraction import other_loaders
from pipeline.fingerprint import TOP, fingerprint, import_closure
from pipeline.params import Params
from pipeline.studies.identity import head_parts, networks

CATALOGUE_FILE = "data/catalogue.py"  # imports every reader
HEADS_FILE = "heads/models/registry.py"  # imports every head
# Drawn or printed beside the scores.
NOT_SCORES = (
    "pipeline/report/below_baseline.py",
    "pipeline/report/console.py",
    "pipeline/report/contact_sheet.py",
    "pipeline/report/scatter.py",
)


def code_sha256(params: Params, top: Path = TOP) -> str:
    """sha256 over the code of the stages that `params` run, and their commands in dvc.yaml; read once per process."""
    libraries = frozenset(entry.library for entry in networks(params).values())
    return _code_sha256(tuple(stages_of(params)), libraries, params.data.name, frozenset(head_modules(params)), top)


@cache
def _code_sha256(
    stages: tuple[str, ...], libraries: frozenset[Library], dataset: str, heads: frozenset[str], top: Path
) -> str:
    files = [f"pipeline/stages/{stage}.py" for stage in stages]
    without = {
        *NOT_SCORES,
        *set.intersection(*(other_loaders(library, top=top) for library in libraries)),
        *other_readers(dataset, top=top),
        *other_heads(heads, files, top=top),
    }
    code = fingerprint(*files, top=top, without=without)
    graph = YAML(typ="safe").load((top / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = [graph[stage].get("do", graph[stage])["cmd"] for stage in stages]
    return sha256_bytes("\n".join([*commands, code]).encode())


def stages_of(params: Params) -> list[str]:
    """The stages behind the scores of a run with these params, in order."""
    parts = head_parts(params)
    runs = {
        "prepare": True,
        "extract": any(part not in params.finetunes for part in parts),
        "finetune": any(part in params.finetunes for part in parts),
        "concat": params.head.features in params.concatenations,
        "train": True,
        "evaluate": True,
    }
    return [stage for stage, needed in runs.items() if needed]


def head_modules(params: Params) -> set[str]:
    """Files of the heads that a run with these params trains: its own, and those on top of networks trained here."""
    trained = [params.finetunes[part].objective for part in head_parts(params) if part in params.finetunes]
    settings: list[HeadSettings] = [params.head, *trained]
    mixed = any(each.cosine_weight for each in settings)
    return {_file_of(HEADS[each.model]) for each in settings} | ({_file_of(CosineMix)} if mixed else set())


def other_heads(heads: Iterable[str], stages: Iterable[str], *, top: Path = TOP) -> set[str]:
    """Files of heads that are not among `heads`, as far as `stages` reach them by the registry alone."""
    unused = {_file_of(builder) for builder in HEADS.values()}.difference(heads)
    return unused - import_closure(*stages, top=top, without=[HEADS_FILE])


def other_readers(name: str, *, top: Path = TOP) -> set[str]:
    """Modules that read other data sets and are not used by the reader of the data set `name`."""
    find_dataset(name)
    readers = {each: reader_modules(each) for each in CATALOGUE}
    own = import_closure(*readers[name], top=top, without=[CATALOGUE_FILE])
    return set.union(*readers.values()) - own


def reader_modules(name: str) -> set[str]:
    """The files with the functions that `open` of a data set calls."""
    variables = inspect.getclosurevars(find_dataset(name).open)
    called = [value for value in (*variables.globals.values(), *variables.nonlocals.values()) if callable(value)]
    return {_file_of(value) for value in called}


def _file_of(function: Callable[..., object]) -> str:
    return f"{function.__module__.replace('.', '/')}.py"

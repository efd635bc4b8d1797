"""The version of the code that a row's result is made with.

It covers the stages that the row's params run, the reader of its data set, and the libraries of its networks, so that
an edit elsewhere leaves the row's result valid.
"""

import inspect
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from data.catalogue import CATALOGUE, find_dataset
from data.files.atomic import sha256_bytes
from features.backbones.libraries import Library
from pipeline.extraction import other_loaders
from pipeline.fingerprint import TOP, fingerprint, import_closure
from pipeline.params import Params
from pipeline.studies.identity import head_parts, networks

CATALOGUE_FILE = "data/catalogue.py"  # imports every reader
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
    return _code_sha256(tuple(stages_of(params)), libraries, params.data.name, top)


@cache
def _code_sha256(stages: tuple[str, ...], libraries: frozenset[Library], dataset: str, top: Path) -> str:
    without = set.intersection(*(other_loaders(library, top=top) for library in libraries))
    code = fingerprint(
        *(f"pipeline/stages/{stage}.py" for stage in stages),
        top=top,
        without={*NOT_SCORES, *without, *other_readers(dataset, top=top)},
    )
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
    return {f"{value.__module__.replace('.', '/')}.py" for value in called}

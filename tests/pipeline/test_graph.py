"""dvc.yaml says what each stage depends on: the modules it imports, or the whole folder where a run costs seconds."""

import ast
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from data.settings import DataSettings, Episodes, Splits
from features.settings import Backbone, FeatureSettings, Fusion
from heads.settings import HeadSettings, ScoreSettings
from pipeline.params import Params

TOP = Path(__file__).parents[2]
OURS = ("data", "features", "heads", "pipeline")
# Values reach a stage through params, which DVC compares by value; messages, bars, paths and devices change no result.
EDGE = {f"pipeline/{name}.py" for name in ("params", "errors", "progress", "paths", "devices")}

GRAPH = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())
STAGES = {
    name: stage.get("do", stage)
    for name, stage in GRAPH["stages"].items()
    if stage.get("do", stage)["cmd"].startswith("python -m pipeline")
}


def counts(module: str) -> bool:
    return module not in EDGE and Path(module).name not in ("errors.py", "__init__.py")


@cache
def imports(module: str) -> frozenset[str]:
    """First-party files that `module` imports, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse((TOP / module).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            path = name.replace(".", "/")
            if name.split(".")[0] in OURS:
                found |= {file for file in (f"{path}.py", f"{path}/__init__.py") if (TOP / file).exists()}
    return frozenset(found)


def closure(module: str) -> set[str]:
    done, waiting = set(), {module}
    while waiting:
        current = waiting.pop()
        done.add(current)
        waiting |= imports(current) - done - {"pipeline/params.py"}
    return {module for module in done if counts(module)}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_code_deps_are_the_import_closure(stage):
    command = STAGES[stage]["cmd"].split()[3]
    deps = STAGES[stage]["deps"]
    folders = {dep for dep in deps if dep in OURS}
    needed = closure(f"pipeline/stages/{command}.py")
    assert {dep for dep in deps if dep.endswith(".py")} == {
        file for file in needed if file.split("/")[0] not in folders
    }
    assert folders <= {file.split("/")[0] for file in needed}


def test_whole_folders_hold_no_compiled_files():
    ignored = (TOP / ".dvcignore").read_text().split()
    assert {"__pycache__", "*.pyc"} <= set(ignored)


def test_editing_a_loss_never_extracts_again():
    assert "heads" in STAGES["train"]["deps"]
    assert not {dep for dep in STAGES["extract"]["deps"] if dep.startswith("heads")}


def test_what_costs_minutes_depends_on_single_modules():
    assert not {dep for dep in STAGES["extract"]["deps"] if dep in OURS}


def test_a_backbones_entry_concerns_its_own_features_alone():
    assert [p for p in STAGES["extract"]["params"] if p.startswith("backbones")] == ["backbones.${item.backbone}"]
    assert "features" not in STAGES["extract"]["params"]


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_heads_need_neither_images_nor_their_libraries(stage):
    deps = STAGES[stage]["deps"]
    assert not [dep for dep in deps if dep.endswith("images.parquet") or dep.startswith("features/backbones")]


def test_the_run_cache_stays_alive():
    """DVC switches it off for a stage with `persist`, or with a plain out under `cache: false`."""
    for name, stage in STAGES.items():
        for out in stage.get("outs", []):
            assert isinstance(out, str), f"{name}: {out}"


def test_no_parameter_has_a_name_that_the_run_cache_ignores():
    """DVC 3 leaves keys named `size` and `nfiles`, at any depth, out of its run-cache key (dvc/stage/cache.py): after
    an edit of such a parameter it would bring back the results of the old value.
    """

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for inner in value.values() for name in names(inner)}
        return set()

    assert not names(YAML(typ="safe").load((TOP / "params.yaml").read_text())) & {"size", "nfiles"}

    def models(annotation: object) -> set[type[BaseModel]]:
        """All models in an annotation, also those inside others, in lists and in dicts."""
        found = {inner_model for inner in get_args(annotation) for inner_model in models(inner)}
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = annotation.model_fields.values()
            found |= {annotation, *(model for field in fields for model in models(field.annotation))}
        return found

    found = models(Params)
    sections = {Backbone, DataSettings, Splits, Episodes, FeatureSettings, Fusion, HeadSettings, ScoreSettings}
    assert sections <= found
    assert not {name for model in found for name in model.model_fields} & {"size", "nfiles"}

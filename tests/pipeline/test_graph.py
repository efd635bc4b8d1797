"""dvc.yaml says exactly what each stage depends on: the modules it imports and nothing that cannot change a result."""

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
def test_module_deps_are_the_import_closure(stage):
    command = STAGES[stage]["cmd"].split()[3]
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert listed == closure(f"pipeline/stages/{command}.py")


def test_editing_a_loss_never_extracts_again():
    assert "heads/losses.py" in STAGES["train"]["deps"]
    assert not {dep for dep in STAGES["extract"]["deps"] if dep.startswith("heads/")}


def test_a_backbones_entry_concerns_its_own_features_alone():
    assert [p for p in STAGES["extract"]["params"] if p.startswith("backbones")] == ["backbones.${item.backbone}"]
    assert "features" not in STAGES["extract"]["params"]


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_heads_need_neither_images_nor_their_libraries(stage):
    deps = STAGES[stage]["deps"]
    assert not [dep for dep in deps if dep.endswith("images.parquet") or dep.startswith("features/from_")]


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

"""dvc.yaml names all code that a stage runs, and imports between the packages go one way."""

from typing import get_args

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from data.settings import DataSettings, Episodes, Splits
from features.settings import Backbone, Concatenation, FeatureSettings
from heads.settings import HeadSettings, ScoreSettings
from pipeline.fingerprint import TOP, import_closure, imported_files
from pipeline.params import Params

GRAPH = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())
STAGES = {name: stage.get("do", stage) for name, stage in GRAPH["stages"].items()}
# What each package may import.
ARROWS = {
    "data": {"data"},
    "heads": {"heads"},
    "features": {"data", "features"},
    "features/finetuning": {"data", "features", "heads"},
    "pipeline": {"data", "features", "heads", "pipeline"},
}


def starts(edited: str) -> set[str]:
    """The stages that an edit of the file `edited` starts, not counting those after them."""
    return {name for name, stage in STAGES.items() if covered(edited, stage["deps"])}


def covered(file: str, deps: list[str]) -> bool:
    return any(file == dep or file.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_all_code_of_a_stage_is_among_its_dependencies(stage):
    command = STAGES[stage]["cmd"].split()[3]
    closure = import_closure(f"pipeline/stages/{command}.py")
    assert not [file for file in sorted(closure) if not covered(file, STAGES[stage]["deps"])]


@pytest.mark.parametrize("package", ARROWS)
def test_imports_go_one_way(package):
    for path in (TOP / package).rglob("*.py"):
        file = path.relative_to(TOP).as_posix()
        if package == "features" and file.startswith("features/finetuning"):
            continue
        assert {name.split("/")[0] for name in imported_files(file)} <= ARROWS[package], file


@pytest.mark.parametrize(
    ("edited", "stages"),
    [
        ("heads/losses/registry.py", {"finetune", "train", "evaluate"}),
        ("features/backbones/timm.py", {"extract", "finetune"}),
        ("features/storage/features_files.py", {"extract", "finetune", "concat", "train", "evaluate"}),
        ("data/datasets/emoji.py", {"prepare"}),
        ("pipeline/report/examples.py", {"evaluate"}),
        ("pipeline/inference/predictor.py", set()),
    ],
)
def test_an_edit_starts_the_stages_that_it_concerns(edited, stages):
    assert (TOP / edited).is_file() and starts(edited) == stages


def test_whole_folders_hold_no_compiled_files():
    ignored = (TOP / ".dvcignore").read_text().split()
    assert {"__pycache__", "*.pyc"} <= set(ignored)


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
    sections = {Backbone, DataSettings, Splits, Episodes, FeatureSettings, Concatenation, HeadSettings, ScoreSettings}
    assert sections <= found
    assert not {name for model in found for name in model.model_fields} & {"size", "nfiles"}

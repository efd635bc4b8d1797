"""A stage reads the params that dvc.yaml lists for it: what it needs of an earlier stage is in that stage's files."""

import re
from pathlib import Path
from typing import Any

import pytest
from grouped_images import write_picture_folder
from pydantic import BaseModel
from ruamel.yaml import YAML

from features.settings import ComputeSettings
from pipeline.fingerprint import TOP
from pipeline.params import Params, parse_params
from pipeline.stages import concat, evaluate, extract, finetune, prepare, train

GRAPH = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())["stages"]
NETWORK = {"library": "local", "model": "conv4", "weights": "random", "pixels": 16}
FAST = {"batch": 12, "epochs": 1, "select": "top1"}


def recording(value: Any, key: str, reads: set[str]) -> Any:
    """`value` of the params, such that every key that is read from it on goes to `reads` as `section.key`."""
    if isinstance(value, dict):
        return {name: recording(each, f"{key}.{name}", reads) for name, each in value.items()}
    if not isinstance(value, BaseModel):
        return value

    def read(self: Any, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name == "model_dump":
            reads.add(key)
        if name not in type(value).model_fields:
            return found
        inner = f"{key}.{name}".removeprefix(".")
        if not isinstance(found, BaseModel | dict):
            reads.add(inner)
        return recording(found, inner, reads)

    copy = value.model_copy()
    object.__setattr__(copy, "__class__", type(type(value).__name__, (type(value),), {"__getattribute__": read}))
    return copy


def declared(stage: str, name: str) -> set[str]:
    """The keys whose edit starts `stage`: its `params`, and those that the paths of its files are made of."""
    entry = GRAPH[stage].get("do", GRAPH[stage])
    paths = re.findall(r"\$\{(\w+\.\w+)\}", " ".join(map(str, [*entry["deps"], *entry["outs"]])))
    return {re.sub(r"\$\{(key|item\.\w+)\}", name, key) for key in entry["params"]} | set(paths)


@pytest.fixture(scope="module")
def params(tmp_path_factory) -> Params:
    folder = write_picture_folder(tmp_path_factory.mktemp("pictures"), groups=12, images=8)
    return parse_params(
        {
            "data": {"name": "folder", "path": str(folder), "pairs": 20, "triplets": 20},
            "backbones": {"small": NETWORK},
            "features": {"backbones": ["small"], "workers": 0},
            "finetunes": {"mine": {"network": NETWORK, **FAST}},
            "concatenations": {"both": {"features": ["small", "mine"]}},
            "head": {"features": "both", "seeds": 1, "dim": 8, **FAST},
            "scores": {"n_bootstrap": 100, "gallery": 2},
        }
    )


@pytest.mark.forward
def test_a_stage_reads_its_own_params(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    speed = {f"features.{key}" for key in ComputeSettings.model_fields}
    runs = [
        (prepare, ()),
        (extract, ("small",)),
        (finetune, ("mine",)),
        (concat, ("both",)),
        (train, ()),
        (evaluate, ()),
    ]
    assert [module.__name__.rpartition(".")[2] for module, _ in runs] == list(GRAPH)
    for module, name in runs:
        reads: set[str] = set()
        module.run(recording(params, "", reads), *name)
        stage = module.__name__.rpartition(".")[2]
        own = declared(stage, *(name or ("",)))
        foreign = {key for key in reads - speed if not any(key == each or key.startswith(f"{each}.") for each in own)}
        assert reads and not foreign, (stage, foreign)
    assert Path("metrics.json").exists()

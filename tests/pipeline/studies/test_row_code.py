"""A row's result is valid as long as the code that made it: its own stages, reader and libraries."""

import copy
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data.catalogue import CATALOGUE
from pipeline.params import parse_params
from pipeline.studies.row_code import NOT_SCORES, code_sha256, reader_modules, stages_of

TOP = Path(__file__).parents[3]
RAW = YAML(typ="safe").load((TOP / "params.yaml").read_text())
NETWORK = {"library": "local", "model": "conv4", "weights": "random", "pixels": 28}
ROWS = {
    "emoji": {},
    "mnist": {"data": {"name": "mnist"}},
    "network": {"finetunes": {"mine": {"network": NETWORK, "loss": "triplet"}}, "head": {"features": "mine"}},
    "under pairs": {
        "finetunes": {
            "mine": {"network": NETWORK, "loss": "bce", "head": {"model": "pair_mlp", "classifier": [8]}},
        },
        "head": {"features": "mine"},
    },
    "pairs": {"head": {"model": "pair_mlp", "loss": "bce", "classifier": [8]}},
    "mixed": {"head": {"cosine_weight": 0.5}},
    "torchvision": {
        "features": {"backbones": ["resnet18_random"]},
        "head": {"features": "resnet18_random"},
    },
    "both": {
        "features": {"backbones": ["efficientnet_lite0", "resnet18_random"]},
        "concatenations": {"two": {"features": ["efficientnet_lite0", "resnet18_random"]}},
        "head": {"features": "two"},
    },
}


CODE = ("", "EDITED = True\n")  # at the end of a file


def params_of(name: str):
    raw = copy.deepcopy(RAW)
    for section, values in ROWS[name].items():
        raw[section] = {**raw[section], **values}
    return parse_params(raw)


@pytest.fixture
def copied(tmp_path) -> Path:
    for name in ("data", "features", "heads", "pipeline"):
        shutil.copytree(TOP / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "dvc.yaml", tmp_path)
    return tmp_path


def test_the_stages_of_a_row():
    whole = ["prepare", "extract", "train", "evaluate"]
    assert stages_of(params_of("emoji")) == stages_of(params_of("torchvision")) == whole
    assert stages_of(params_of("network")) == ["prepare", "finetune", "train", "evaluate"]
    assert stages_of(params_of("both")) == ["prepare", "extract", "concat", "train", "evaluate"]


def test_an_equal_tree_elsewhere_is_the_same_code(copied):
    assert code_sha256(params_of("both"), copied) == code_sha256(params_of("both"))


@pytest.mark.parametrize(
    ("file", "edit", "rows"),
    [
        ("heads/settings.py", ("temperature: float = Field(0.07", "temperature: float = Field(0.08"), set(ROWS)),
        ("heads/metrics/ranking.py", (" / ", " * "), set(ROWS)),
        ("heads/metrics/ranking.py", ('"""', '"""So. '), set()),
        ("heads/training/loop.py", CODE, set(ROWS)),
        ("heads/training/loop.py", ("\nfrom ", "\n# why\nfrom "), set()),
        ("heads/models/registry.py", CODE, set(ROWS)),
        ("heads/models/pair_heads.py", CODE, {"pairs", "under pairs"}),
        ("heads/models/cosine_mix.py", CODE, {"mixed"}),
        ("heads/models/embedding_heads.py", CODE, set(ROWS) - {"pairs"}),
        ("data/datasets/mnist.py", CODE, {"mnist"}),
        ("data/datasets/emoji.py", CODE, set(ROWS) - {"mnist"}),
        ("features/backbones/timm.py", CODE, set(ROWS) - {"torchvision"}),
        ("features/finetuning/augment.py", CODE, {"network", "under pairs"}),
        ("features/storage/concat.py", CODE, {"both"}),
        ("pipeline/report/contact_sheet.py", CODE, set()),
        ("pipeline/studies/page.py", CODE, set()),
        ("dvc.yaml", ("cmd: python -m pipeline concat", "cmd: python -O -m pipeline concat"), {"both"}),
        ("dvc.yaml", ("title: ROC", "title: A curve"), set()),
    ],
)
def test_an_edit_reaches_the_rows_that_run_it(copied, file, edit, rows):
    before = {name: code_sha256(params_of(name)) for name in ROWS}
    text = (copied / file).read_text()
    assert edit[0] in text
    (copied / file).write_text(text + edit[1] if edit == CODE else text.replace(*edit, 1))
    assert {name for name in ROWS if code_sha256(params_of(name), copied) != before[name]} == rows


def test_every_data_set_has_its_reader():
    for name in CATALOGUE:
        modules = reader_modules(name)
        assert modules and all(module.startswith("data/datasets/") for module in modules), name
    assert reader_modules("cub") == {"data/datasets/retrieval_benchmarks.py"}


def test_files_that_decide_no_score_are_there():
    assert all((TOP / file).is_file() for file in NOT_SCORES)

import copy
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

from heads.losses.registry import LOSSES
from heads.setting_rules import ARGUMENTS, MARGINS
from heads.settings import OwnLoss
from pipeline.errors import ParamError
from pipeline.params import load_params, parse_params

TOP = Path(__file__).parents[2]


@pytest.fixture
def raw() -> dict:
    return YAML(typ="safe").load((TOP / "params.yaml").read_text())


def change(raw: dict, key: str, value: object) -> dict:
    changed = copy.deepcopy(raw)
    *parents, last = key.split(".")
    section = changed
    for parent in parents:
        section = section[parent]
    section[last] = value
    return changed


def test_the_default_file_is_valid_and_says_every_key(raw):
    params = load_params(TOP / "params.yaml")
    assert set(raw["head"]) == set(type(params.head).model_fields)
    assert set(raw["data"]) == set(type(params.data).model_fields)


def test_registries_hold_what_params_may_name():
    assert set(LOSSES) == set(get_args(OwnLoss))
    assert set(MARGINS) | set(ARGUMENTS) <= set(LOSSES)  # a loss of the library says both in loss_args


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("head.loss", "tripplet", "head.loss: no 'tripplet'; did you mean 'triplet'?"),
        ("head.los", "triplet", "head.los: no such key; did you mean 'loss'?"),
        ("hed", {}, "hed: no such key; did you mean 'head'?"),
        ("head.model", "liner", "head.model: no 'liner'; did you mean 'linear'?"),
        ("head.model", "xyz", "head.model: no 'xyz'; known: identity,"),
        ("head.negatives", "random", "head.negatives: no 'random'; known: in_batch, semihard, hard, random:19"),
        ("head.batch", 255, "head: batch 255 is not a multiple of images_per_group 2"),
        ("head.loss", "CircelLoss", "head.loss: no 'CircelLoss'; did you mean 'CircleLoss'?"),
        ("head.loss", "bce", "head: loss bce needs a probability of a pair, which model linear does not give: choose"),
        (
            "head.model",
            "pair_mlp",
            "head: loss contrastive cannot use the logits of model pair_mlp: choose loss bce,",
        ),
        ("head.loss_args", {"alpha": 1}, "head: loss_args: contrastive has no argument 'alpha'; known: every_negative"),
        ("head.epochs", 0, "head.epochs: 0: input should be greater than or equal to 1"),
        (
            "head",
            {"features": "resnet18_random", "model": "pseudo_class", "distance": "euclidean"},
            "head: model pseudo_class",
        ),
        (
            "head",
            {"features": "resnet18_random", "cosine_weight": 0.5, "distance": "euclidean"},
            "head: cosine_weight mixes two cosines: set distance to cosine",
        ),
        ("head.lr", "fast", "head.lr: 'fast': input should be a valid number"),
        ("data.candidates", 1, "data.candidates: 1: input should be greater than or equal to 2"),
        ("data.splits.train", 0.9, "data.splits: train, val and test add up to 1.3, not to 1"),
        ("backbones.resnet18.library", "tim", "backbones.resnet18.library: no 'tim'; did you mean 'timm'?"),
        ("backbones.resnet18.pixel", 3, "backbones.resnet18.pixel: no such key; did you mean 'pixels'?"),
        ("features.backbones", ["resnet"], "features.backbones: no backbone 'resnet' in backbones; did you mean"),
        ("head.features", "resnet18", "head.features: no feature set 'resnet18'; add it to features.backbones"),
        ("seed", -1, "seed: -1: input should be greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(raw, key, value, message):
    with pytest.raises(ParamError) as error:
        parse_params(change(raw, key, value))
    assert str(error.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(error.value)


def test_every_override_in_readme_and_docs_is_one_that_dvc_takes(tmp_path):
    """DVC opens params.yaml in struct mode: a new key in an empty dict needs a `+`."""
    from dvc.utils.hydra import apply_overrides

    texts = [path.read_text().replace("\\\n", " ") for path in (TOP / "README.md", *(TOP / "docs").glob("*.md"))]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("dvc exp run")]
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line, comments=True)
        overrides = [value for flag, value in pairwise(words) if flag == "-S"]
        if "--queue" not in line:  # a sweep is not one set of values
            (tmp_path / "params.yaml").write_text((TOP / "params.yaml").read_text())
            apply_overrides(tmp_path / "params.yaml", overrides)
            load_params(tmp_path / "params.yaml")


def test_scientific_notation_is_a_number(tmp_path):
    text = re.sub(r"\blr: .*", "lr: 1e-3", (TOP / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").head.lr == 0.001


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(ParamError, match=r"params\.yaml: not here; run from the project's top folder"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("head: [1,\n")
    with pytest.raises(ParamError, match=r"params\.yaml: not valid YAML") as error:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {"PYTHONPATH": str(TOP), "PATH": ""}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words], cwd=folder, capture_output=True, text=True, env=environment
    )


def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(tmp_path):
    done = run(tmp_path, "train")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: params.yaml: not here; run from the project's top folder\n"


def test_a_wrong_verb_is_told_and_exits_with_2(tmp_path):
    done = run(tmp_path, "trian")
    assert done.returncode == 2 and "No such command 'trian'" in done.stderr


def test_help_names_every_stage_and_a_stage_without_its_input_says_what_to_run(tmp_path):
    text = run(tmp_path, "--help").stdout
    assert all(verb in text for verb in ("prepare", "extract", "train", "evaluate"))
    (tmp_path / "params.yaml").write_bytes((TOP / "params.yaml").read_bytes())
    done = run(tmp_path, "train")
    assert done.returncode == 2 and "rows.parquet" in done.stderr and "dvc repro prepare" in done.stderr


def test_params_are_checked_before_any_heavy_import(tmp_path):
    code = (
        "import sys, pipeline.cli, pipeline.params as p; p.load_params(p.Path(sys.argv[1]));"
        "print([m for m in ('torch', 'open_clip', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(TOP / "params.yaml")], cwd=TOP, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("fusions", {}, "fusions is now called concatenations"),
        ("head.keep", 0.5, "head.keep is now called head.cosine_weight"),
        ("backbones.resnet18.spread", True, "backbones.resnet18.spread is now called std_pool"),
        ("backbones.resnet18.library", "lookalike", "backbones.resnet18.library: lookalike is now called local"),
        ("finetunes", {"a": {"augment": {"turns": True}}}, "finetunes.a.augment.turns is now called rotations"),
        ("finetunes", {"a": {"layers": ["layer4", "top"]}}, "finetunes.a.layers: top is now called projection"),
        ("head.norm", "none", "head.norm was removed.*: delete it"),
        ("head.mixup", 0.0, "head.mixup was removed.*: delete it"),
        ("finetunes", {"a": {"head": {"norm": "none"}}}, "finetunes.a.head.norm was removed.*: delete it"),
    ],
)
def test_a_name_of_an_older_version_is_answered_with_todays(raw, key, value, words):
    with pytest.raises(ParamError, match=words):
        parse_params(change(raw, key, value))


@pytest.mark.parametrize("name", ["my net", "resnet18.v2", "größer", "a/b", ""])
@pytest.mark.parametrize("section", ["backbones", "concatenations", "finetunes"])
def test_a_name_that_is_no_stage_key_and_folder_is_one_line(raw, section, name):
    entry = {
        "backbones": raw["backbones"]["resnet18"],
        "concatenations": {"features": ["efficientnet_lite0", "resnet18_random"]},
        "finetunes": {"network": raw["backbones"]["resnet18"]},
    }
    with pytest.raises(ParamError, match="letters, digits") as error:
        parse_params(raw | {section: raw[section] | {name: entry[section]}})
    assert "\n" not in str(error.value) and f"{section}: '{name}'" in str(error.value)


def test_a_colon_within_braces_is_a_line_with_the_remedy(tmp_path):
    (tmp_path / "params.yaml").write_text("head: {negatives: random:1}\n")
    with pytest.raises(ParamError, match=r"params\.yaml.*line 1.*quote"):
        load_params(tmp_path / "params.yaml")

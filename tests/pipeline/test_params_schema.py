"""The schema by which editors check params.yaml takes what the pipeline takes, and is of today's settings."""

import copy
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params_schema import FILE, field_comments, schema, schema_text
from pipeline.studies.plan import plan_row
from pipeline.studies.settings import known_studies, load_study

jsonschema = pytest.importorskip("jsonschema")

TOP = Path(__file__).parents[2]
RAW = YAML(typ="safe").load((TOP / "params.yaml").read_text())


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_the_committed_schema_is_of_todays_settings():
    assert FILE.read_text() == schema_text(), "run: python -m pipeline.params_schema"


def test_params_yaml_names_it_and_fits(validator):
    first = (TOP / "params.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={FILE.relative_to(TOP)}"
    validator.validate(RAW)


@pytest.mark.parametrize("name", known_studies(TOP / "studies"))
def test_what_studies_run_fits(validator, name):
    study = load_study(name, folder=TOP / "studies")
    for row in study.rows:
        for experiment in plan_row(name, study, row, RAW, places={}).experiments[:1]:
            validator.validate(experiment.raw)


@pytest.mark.parametrize(
    ("section", "key", "value", "fits"),
    [
        ("head", "losss", "triplet", False),
        ("head", "loss", "tripplet", False),
        ("head", "loss", "CircleLoss", True),
        ("head", "loss", "my_module:my_loss", True),
        ("head", "negatives", "random:19", True),
        ("head", "negatives", "random:", False),
        ("head", "hidden", [512, "wide"], False),
        ("head", "dim", None, True),
        ("data", "name", "emojis", False),
        ("data", "seen", ["a", "b"], True),
        ("scores", "rerank", "best", False),
        ("backbones", "mine", {"library": "timm", "model": "a", "weights": "b", "pixel": 64}, False),
        ("backbones", "a name", {"library": "timm", "model": "a", "weights": "b"}, False),
    ],
)
def test_what_is_wrong_is_marked(validator, section, key, value, fits):
    raw = copy.deepcopy(RAW)
    raw[section][key] = value
    assert validator.is_valid(raw) == fits


def test_comments_beside_and_above_fields_are_the_descriptions():
    from heads.settings import HeadSettings, ScoreSettings

    assert "re-ranking" in field_comments(ScoreSettings)["rerank"]
    comments = field_comments(HeadSettings)
    assert "train" in comments["transform"] and "epochs" in comments["patience"]  # its own, and an inherited one
    assert schema()["$defs"]["HeadSettings"]["properties"]["patience"]["description"] == comments["patience"]

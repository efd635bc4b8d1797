"""Rows to experiments: their params.yaml, and what tells one result from another."""

import copy
import csv
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data.settings import CATALOGUE_PATH
from pipeline.errors import ParamError
from pipeline.params import load_params
from pipeline.studies.identity import result_identity, row_identity
from pipeline.studies.plan import plan_row
from pipeline.studies.project_copy import write_params
from pipeline.studies.settings import Row, Section, Study, known_studies, load_study

TOP = Path(__file__).parents[3]
RAW = YAML(typ="safe").load((TOP / "params.yaml").read_text())
NOWHERE = {"mirror": None, "path": None}
FEATURES = {"head.features": "efficientnet_lite0"}


def row(**settings) -> Row:
    return Row(name="a row", compare=[{"metric": "test/top2"}], **settings)


def study(one: Row, **settings) -> Study:
    return Study(title="made", set=settings, sections=[Section(title="rows", rows=[one])])


def planned(one: Row, raw=RAW, where=NOWHERE, **settings):
    return plan_row("made", study(one, **settings), one, raw, places=where)


def written(raw: dict, experiment, folder: Path):
    """params.yaml of the copy in which an experiment runs."""
    path = folder / "params.yaml"
    with path.open("w") as file:
        YAML().dump(raw, file)
    write_params(folder, experiment.raw)
    return load_params(path)


@pytest.mark.parametrize("name", known_studies(TOP / "studies"))
def test_every_committed_row_is_what_dvc_would_run(name, tmp_path):
    loaded = load_study(name, folder=TOP / "studies")
    where = {"mirror": "/a place/it's", "path": None}
    seen = set()
    for one in loaded.rows:
        for experiment in plan_row(name, loaded, one, RAW, places=where).experiments:
            assert experiment.name not in seen
            seen.add(experiment.name)
            if not one.folds or experiment.name.endswith("fold1"):  # one fold stands for all
                assert written(RAW, experiment, tmp_path) == experiment.params


def test_what_the_user_has_in_params_yaml_does_not_leak_into_a_row(tmp_path):
    raw = copy.deepcopy(RAW)
    raw["head"] |= {"loss": "CircleLoss", "loss_args": {"m": 0.4}, "margin": None, "cosine_weight": 0.3}
    raw["concatenations"] = {"mine": {"features": ["efficientnet_lite0", "resnet18_random"]}}
    raw["data"] |= {"limit": 100, "seen": 5, "splits": {"train": 0.2, "val": 0.2, "test": 0.6}}
    raw["scores"] |= {"queries": 50}
    raw["seed"] = 7
    settings = {
        "head.features": "efficientnet_lite0",
        "head.loss": "MultiSimilarityLoss",
        "head.loss_args": {"base": 0.4},
    }
    mine = planned(row(set=settings), raw)
    (experiment,) = mine.experiments
    after = written(raw, experiment, tmp_path)
    assert after == experiment.params
    assert after.head.loss_args == {"base": 0.4} and after.concatenations == {} and after.seed == 0
    assert after.data.limit is None and after.data.splits.train == 0.6 and after.scores.queries is None
    assert mine.settings == planned(row(set=settings)).settings


def test_what_is_the_users_stays():
    raw = copy.deepcopy(RAW)
    raw["backbones"]["clip_rn101"]["weights"] = "/weights/rn101.pt"
    raw["features"] |= {"batch": 7}
    raw["data"] |= {"name": "tll", "path": "/my/tll", "mirror": "/mirror"}
    settings = {"head.features": "clip_rn101"}
    mine = planned(row(set=settings), raw, **{"data.name": "tll"})
    (experiment,) = mine.experiments
    params = experiment.params
    assert params.backbones["clip_rn101"].weights == "/weights/rn101.pt" and params.features.batch == 7
    assert str(params.data.path) == "/my/tll" and params.data.mirror == "/mirror"
    assert experiment.backbones == {"clip_rn101": params.backbones["clip_rn101"]}
    # Where things lie on this machine is not what the row asks for ...
    assert mine.settings == planned(row(set=settings), **{"data.name": "tll"}).settings
    # ... but other pictures under that name are another result.
    (other,) = planned(row(set=settings), raw, {"mirror": None, "path": "/other"}, **{"data.name": "tll"}).experiments
    assert result_identity(other.params) != result_identity(params)
    # The default data take neither.
    (emoji,) = planned(row(set=settings), raw, {"mirror": "/m", "path": "/p"}).experiments
    assert emoji.params.data.mirror is None and emoji.params.data.path == CATALOGUE_PATH


def test_places_are_absolute_for_an_experiment_runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").touch()
    raw = copy.deepcopy(RAW)
    raw["backbones"]["clip_rn101"]["weights"] = "weights.pt"
    where = {"mirror": "../mirror", "path": "mine"}
    (experiment,) = planned(row(set={"head.features": "clip_rn101"}), raw, where, **{"data.name": "tll"}).experiments
    params = written(raw, experiment, tmp_path)
    assert params.backbones["clip_rn101"].weights == str(tmp_path / "weights.pt")
    assert params.data.mirror == str(tmp_path.parent / "mirror") and str(params.data.path) == str(tmp_path / "mine")
    (remote,) = planned(row(), raw, {"mirror": "https://m"}, **{"data.name": "mnist", **FEATURES}).experiments
    assert remote.params.data.mirror == "https://m"


def test_other_weights_or_pictures_under_the_same_name_are_another_question(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights, picture = tmp_path / "weights.pt", tmp_path / "mine/left/a.jpg"
    picture.parent.mkdir(parents=True)
    weights.touch(), picture.touch()
    raw = copy.deepcopy(RAW)
    raw["backbones"]["clip_rn101"]["weights"] = "weights.pt"
    wanted = row(set={"head.features": "clip_rn101"})
    (experiment,) = planned(wanted, raw, {"path": "mine"}, **{"data.name": "tll"}).experiments
    seen = [result_identity(experiment.params)]
    assert result_identity(experiment.params) == seen[0]
    for file in (weights, picture):
        file.write_text("another")
        seen.append(result_identity(experiment.params))
        assert seen[-1] != seen[-2]
    assert "files" not in row_identity(experiment.params)


def test_a_default_is_no_part_of_an_identity():
    """So that a key that is added later, with a default, leaves committed results valid."""
    (plain,) = planned(row(set=FEATURES)).experiments
    (spelled,) = planned(row(set=FEATURES | {"head.margin": None, "head.schedule": "cosine"})).experiments
    (other,) = planned(row(set=FEATURES | {"head.schedule": "constant"})).experiments
    assert row_identity(plain.params) == row_identity(spelled.params)
    assert row_identity(other.params)["head"] == row_identity(plain.params)["head"] | {"schedule": "constant"}


def test_comments_of_params_yaml_stay(tmp_path):
    (experiment,) = planned(
        row(
            set={
                "head.features": "resnet18_random",
                "head.loss_args": {"m": 0.4, "s": "it's"},
                "head.loss": "CircleLoss",
            }
        )
    ).experiments
    shutil.copy(TOP / "params.yaml", tmp_path)
    write_params(tmp_path, experiment.raw)
    text = (tmp_path / "params.yaml").read_text()
    assert text.startswith("# ") and text.count("#") > 50
    assert load_params(tmp_path / "params.yaml") == experiment.params


def test_folds_are_experiments_of_their_own():
    found = planned(row(set={"head.features": "efficientnet_lite0"}, folds=3))
    assert [experiment.name for experiment in found.experiments] == [f"made-a-row-fold{fold}" for fold in range(3)]
    assert [(e.params.data.folds, e.params.data.fold) for e in found.experiments] == [(3, 0), (3, 1), (3, 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head.los": "triplet"}, "head.los: no such key; did you mean 'loss'?"),
        ({"head.loss": "tripplet"}, "head.loss: no 'tripplet'; did you mean 'triplet'?"),
        ({"head.features": "clip"}, "head.features: no feature set 'clip'; "),
    ],
)
def test_a_row_that_params_yaml_would_not_take(settings, message):
    with pytest.raises(ParamError) as error:
        planned(row(set={"head.features": "efficientnet_lite0", **settings}))
    assert str(error.value).startswith(f"studies/made.yaml: row 'a row': {message}")


@pytest.mark.parametrize("name", known_studies(TOP / "studies"))
def test_committed_numbers_answer_what_the_rows_ask(name):
    study = load_study(name, folder=TOP / "studies")
    with (TOP / "studies" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        committed = {line["row"]: line["settings"] for line in csv.DictReader(file)}
    asked = {each.name: plan_row(name, study, each, RAW, places={}).settings for each in study.rows}
    assert committed and committed == {row: asked.get(row) for row in committed}


# Every figure of the tables in the five reports.
PUBLISHED = {
    "tiny_imagenet": (0.691, 0.562, 0.753, 0.57, 0.789, 0.552, 0.817, 0.558),
    "mnist": (),
    "tll": (0.828, 0.793, 0.822, 0.616, 0.81, 0.84, 0.69, 0.686),
    "cifar100": (
        *(0.8690, 0.8533, 0.8511, 0.8615, 0.8679, 0.8801, 0.8858, 0.8827, 0.8834, 0.8909),
        *(0.7882, 0.7795, 0.7913, 0.7956, 0.7826, 0.8163, 0.8124, 0.8096, 0.8095, 0.8241),
        *(0.453187, 0.617224, 0.672288, 0.697237, 0.767733, 0.727345, 0.765066, 0.778149, 0.830623),
    ),
    "omniglot": (0.5304, 0.6945, 0.674, 0.668, 0.978, 0.8325),
    "benchmarks": (),  # of other features
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_figure_of_a_report_has_a_row_on_its_own_protocol(name):
    compared = [each for row in load_study(name, folder=TOP / "studies").rows for each in row.compare]
    assert set(PUBLISHED[name]) <= {each.published for each in compared if each.same_protocol}


def test_the_studies_are_those_of_the_reports():
    assert set(known_studies(TOP / "studies")) == set(PUBLISHED)

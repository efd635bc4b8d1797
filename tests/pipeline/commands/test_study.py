"""`study`: what would run, what runs, what is left alone when it is called again, and what cannot run here.

A made-up experiment stands in the place of DVC's; the real thing is tests/pipeline/test_real_study.py.
"""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_experiments import experiment

from features.backbones.weights import PACKAGES
from pipeline.commands import study
from pipeline.commands.study import run_studies
from pipeline.errors import ParamError
from pipeline.studies import plan
from pipeline.studies import study as library
from pipeline.studies.plan import Experiment
from pipeline.studies.project_copy import BUILD
from pipeline.studies.running import Result, RunFailed, result_key, write_result
from pipeline.studies.scores import joined_protocol

TOP = Path(__file__).parents[3]
STUDY = """
title: A report
set: {head.features: resnet18_random}
sections:
- title: Rows
  rows:
  - name: recipe
    compare: [{metric: test/top2, published: 0.45}]
  - name: ours
    set: {head.loss: infonce}
    against: recipe
    folds: 2
    compare: [{metric: test/top2, published: 0.45, same_protocol: false}]
  - name: recipe in folds
    folds: 2
    compare: [{metric: test/top2}]
  - name: CLIP
    set:
      head.features: mine
      backbones.mine: {library: open_clip, model: RN50x4, weights: package:nope}
    compare: [{metric: test/top2, published: 0.828}]
  - name: theirs
    set: {data.name: tll}
    compare: [{metric: test/top2, published: 0.828}]
  - name: network
    gpu: about 9 hours on 2 cores
    compare: [{metric: test/top2, published: 0.9}]
"""
NOT_HERE = {
    "CLIP": f"weights: backbones.mine.weights: no package 'nope' with weights; known: {', '.join(PACKAGES)}",
    "theirs": (
        "data: tll has no stable address to fetch it from; give its place: --mirror FOLDER, or --path YOUR_COPY"
    ),
    "network": "a GPU: without one it takes about 9 hours on 2 cores; run it all the same with --anyway",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params, a graph and a study, where an experiment takes no time. `ran` names those that ran."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(TOP / name, name)
    for name in ("data", "features", "heads", "pipeline"):
        Path(name).symlink_to(TOP / name)
    Path("studies").mkdir()
    Path("studies/made.yaml").write_text(STUDY.replace("against: recipe", "against: recipe in folds"))
    ran = []

    def made_up(one: Experiment) -> Result:
        ran.append(one.name)
        rng = np.random.default_rng(int(hashlib.sha256(one.name[-5:].encode()).hexdigest()[:8], 16))
        share = 0.8 if one.params.head.loss == "infonce" else 0.6
        shutil.rmtree(BUILD / one.name, ignore_errors=True)
        hits, bare = (rng.random((2, 60)) < share) * 1.0, (rng.random(60) < 0.4) * 1.0
        folder = experiment(BUILD / one.name, hits, bare, queries=one.name[-5:])  # every row has a fold's queries
        result = Result(result_key(one), one.code, 2.0, "a machine", "Python 3", folder)
        write_result(result, one)
        return result

    monkeypatch.setattr(library, "run_experiment", made_up)
    monkeypatch.setattr(study, "head_commit", lambda: "a commit")
    monkeypatch.setattr(study, "has_gpu", lambda: False)
    return ran


def rows() -> dict[str, dict[str, str]]:
    return {line["row"]: line for line in csv.DictReader(Path("studies/made.csv").read_text().splitlines())}


def test_a_dry_run_says_what_would_run_and_for_how_long(project, capsys):
    run_studies(["made"], rows=("recipe",))
    project.clear()
    capsys.readouterr()
    assert run_studies(["made"], dry_run=True) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "made: A report",
        "  here      recipe",
        "  run       ours: never ran",
        "  run       recipe in folds: never ran",
        *(f"  not here  {name}: {why}" for name, why in NOT_HERE.items()),
        "  in all about 0 s and 2 rows of unknown length; data and features that are not in DVC's cache come on top",
    ]
    # A row that ran elsewhere, or before the program changed, is known to take so long.
    shutil.rmtree(BUILD)
    run_studies(["made"], dry_run=True, rows=("recipe",))
    assert "  in table  recipe: about 14 s" in capsys.readouterr().out
    # One whose head came out of DVC's cache has a number and no time.
    table = Path("studies/made.csv")
    table.write_text(table.read_text().replace(",2.0,", ",,"))
    run_studies(["made"], dry_run=True, rows=("recipe",))
    assert "  in table  recipe: time not on record" in capsys.readouterr().out
    assert project == []


def test_what_cannot_run_here_is_said_and_the_rest_runs(project, capsys):
    assert run_studies(["made"]) == 0
    said = capsys.readouterr().out
    found = rows()
    for name, why in NOT_HERE.items():
        assert f"  {name}: not run: {why}\n" in said
        assert found[name]["missing"] == why and found[name]["ours"] == ""
    assert "Traceback" not in said
    assert project == ["made-recipe", *(f"made-{row}-fold{i}" for row in ("ours", "recipe-in-folds") for i in (0, 1))]
    assert found["recipe"]["ours"] == "0.5"  # of its table.csv
    assert float(found["ours"]["difference"]) > 0 and found["ours"]["queries"] == "120"
    assert found["ours"]["seconds"] == "4.0"
    page = Path("studies/made.md").read_text()
    assert all(f"* {name}. *{why}*" in page for name, why in NOT_HERE.items())


def test_it_can_be_stopped_and_goes_on(project, monkeypatch, capsys):
    whole = library.run_experiment

    def stopped(one: Experiment) -> Result:
        if one.name == "made-ours-fold1":
            raise KeyboardInterrupt
        return whole(one)

    monkeypatch.setattr(library, "run_experiment", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_studies(["made"])
    assert project == ["made-recipe", "made-ours-fold0"]
    assert rows()["recipe"]["ours"] == "0.5"  # what is done is in the table
    monkeypatch.setattr(library, "run_experiment", whole)
    project.clear()
    run_studies(["made"])
    assert project == ["made-ours-fold1", "made-recipe-in-folds-fold0", "made-recipe-in-folds-fold1"]
    project.clear()
    run_studies(["made"])
    assert project == []
    assert "  ours: here already" in capsys.readouterr().out
    # Another setting, and another program, are other results.
    text = Path("studies/made.yaml").read_text()
    Path("studies/made.yaml").write_text(text.replace("head.loss: infonce", "head.loss: supcon"))
    run_studies(["made"])
    assert project == ["made-ours-fold0", "made-ours-fold1"]
    project.clear()
    monkeypatch.setattr(plan, "code_sha256", lambda params: "another program")
    run_studies(["made"], rows=("recipe",))
    assert project == ["made-recipe"]


def test_some_rows_leave_the_others_as_they_are(project):
    run_studies(["made"])
    before = rows()
    shutil.rmtree(BUILD)  # a clone has the csv alone
    run_studies(["made"], rows=("recipe",))
    assert rows() == before


def test_a_difference_to_a_row_that_has_not_run_here_is_missed_aloud(project, capsys):
    run_studies(["made"], rows=("ours",))
    told = "  ours: no difference to 'recipe in folds', which has not run here"
    assert told in capsys.readouterr().out.splitlines()
    assert rows()["ours"]["difference"] == ""
    run_studies(["made"], rows=("recipe-in-folds",))
    run_studies(["made"], rows=("ours",))
    assert "no difference" not in capsys.readouterr().out
    assert rows()["ours"]["difference"] != ""


def test_a_row_that_fails_is_said_and_the_others_go_on(project, monkeypatch, capsys):
    whole = library.run_experiment

    def failing(one: Experiment) -> Result:
        if one.name == "made-recipe":
            raise RunFailed("params.yaml: no")
        return whole(one)

    monkeypatch.setattr(library, "run_experiment", failing)
    assert run_studies(["made"]) == 1
    said = capsys.readouterr().out
    assert f"  recipe: failed: params.yaml: no (all of it in {BUILD / 'made-recipe/log'})" in said
    assert rows()["recipe"]["missing"] == "failed: params.yaml: no"
    assert len(project) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mirror": "/nowhere"},
            "--mirror /nowhere: no such folder; a mirror holds <dataset>/<archive> and SHA256SUMS",
        ),
        ({"path": "/nowhere"}, "--path /nowhere: nothing there; give the folder or archive of your copy"),
        ({"rows": ("recip",)}, "no row 'recip'; did you mean 'recipe'?"),
    ],
)
def test_wrong_words(project, options, message):
    with pytest.raises(ParamError) as error:
        run_studies(["made"], **options)
    assert str(error.value) == message


def test_rows_of_another_protocol_are_marked(project, monkeypatch, capsys):
    """Other images under the same settings: the numbers that are there stay, with what they were measured on."""
    run_studies(["made"])
    shutil.rmtree(BUILD)
    whole = library.run_experiment

    def on_fewer_images(one: Experiment) -> Result:
        result = whole(one)
        rng = np.random.default_rng(0)
        shutil.rmtree(result.folder)
        hits = (rng.random((2, 30)) < 0.5) * 1.0
        experiment(result.folder, hits, hits[0], queries=one.name[-5:], protocol="another")
        write_result(result, one)
        return result

    monkeypatch.setattr(library, "run_experiment", on_fewer_images)
    run_studies(["made"], rows=("ours",))
    assert {name: (row["queries"], row["protocol"]) for name, row in rows().items() if row["ours"]} == {
        "recipe": ("60", "p"),
        "ours": ("60", joined_protocol(["another"] * 2)),
        "recipe in folds": ("120", joined_protocol(["p"] * 2)),
    }
    page = Path("studies/made.md").read_text()
    assert "| ours † | top2 |" in page and "| recipe in folds | top2 |" in page and "| recipe | top2 |" in page
    assert "† **ours** was measured on 60 queries" in page and "on 120 queries" in page
    assert rows()["ours"]["difference"] == ""
    capsys.readouterr()
    assert run_studies(["made"], check=True) == 1
    assert "  ours: was measured on 60 queries" in capsys.readouterr().out


def test_check_lists_rows_of_older_code_and_settings(project, monkeypatch, capsys):
    run_studies(["made"])
    capsys.readouterr()
    assert run_studies(["made"], check=True) == 0
    assert "  0 of 3 rows" in capsys.readouterr().out
    text = Path("studies/made.yaml").read_text()
    Path("studies/made.yaml").write_text(text.replace("head.loss: infonce", "head.loss: supcon"))
    assert run_studies(["made"], check=True) == 1
    assert "  ours: other settings" in capsys.readouterr().out
    monkeypatch.setattr(plan, "code_sha256", lambda params: "0123456789abcdef")
    assert run_studies(["made"], check=True) == 3
    assert ", now 0123456789ab" in capsys.readouterr().out

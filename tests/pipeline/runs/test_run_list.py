"""What DVC knows of runs, in a small repository with stages of our names."""

import json
import subprocess
import sys
import time

import pytest
from project import call
from ruamel.yaml import YAML

from pipeline.commands.table import run
from pipeline.errors import ParamError
from pipeline.runs.run_list import Run, list_runs

PARAMS = {"data": {"name": "emoji"}, "head": {"features": "small", "model": "linear", "loss": "contrastive", "lr": 0.1}}
EVALUATE = """
import json, pathlib, re, time
text = pathlib.Path("params.yaml").read_text()
lr, loss = float(re.search("lr: (.*)", text)[1]), re.search("loss: (.*)", text)[1]
assert loss != "broken"
if loss == "slow":
    pathlib.Path("../started").touch()
    while not pathlib.Path("../go_on").exists():
        time.sleep(0.05)
json.dump({"top2": lr, "top2_ci": 0.01, "baseline": {"top2": 0.5}}, open("metrics.json", "w"))
"""
GRAPH = {
    "stages": {
        "evaluate": {
            "cmd": "python evaluate.py",
            "params": ["data", "head"],
            "metrics": [{"metrics.json": {"cache": False}}],
        }
    }
}


def write_params(folder, **head) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(PARAMS | {"head": PARAMS["head"] | head}, file)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    folder = tmp_path / "p"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "dvc.yaml").write_text(json.dumps(GRAPH))
    write_params(folder)
    call(folder, "git", "init", "-q", "-b", "main")
    for key in ("name", "email"):
        call(folder, "git", "config", f"user.{key}", "a@b.example")
    call(folder, sys.executable, "-m", "dvc", "init", "-q")
    call(folder, sys.executable, "-m", "dvc", "repro", "-q")
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", "start")
    return folder


def dvc(folder, *words: str) -> None:
    call(folder, sys.executable, "-m", "dvc", *words)


def by_name(runs: list[Run]) -> dict[str, tuple[str, float | None]]:
    return {each.name: (each.state, each.metrics.get("top2")) for each in runs}


def test_every_run_has_the_metrics_of_its_own_params(repository, capsys):
    assert by_name(list_runs()) == {"workspace": ("", 0.1)}  # the commit is the same
    dvc(repository, "exp", "run", "-q", "--name", "fast", "-S", "head.lr=0.5")
    assert by_name(list_runs()) == {"workspace": ("", 0.5), "main": ("", 0.1), "fast": ("", 0.5)}
    # Edited and not run.
    write_params(repository, loss="supcon")
    assert by_name(list_runs())["workspace"] == ("not run", None)
    dvc(repository, "exp", "run", "-q", "--queue", "--name", "later", "-S", "head.lr=0.7")
    assert by_name(list_runs())["later"] == ("queued", None)
    run()
    printed = capsys.readouterr().out
    assert "| workspace | not run | small | linear | supcon |" in printed
    assert "| later | queued | small | linear | supcon | 0.7 |" in printed


def test_runs_of_earlier_commits(repository):
    dvc(repository, "exp", "run", "-q", "--name", "fast", "-S", "head.lr=0.5")
    call(repository, "git", "checkout", "-q", "params.yaml", "dvc.lock", "metrics.json")
    (repository / "more").touch()
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", "more")
    assert by_name(list_runs()) == {"workspace": ("", 0.1)}
    assert by_name(list_runs(all_commits=True)) == {"workspace": ("", 0.1), "fast": ("", 0.5)}


def test_a_run_that_goes_on_has_no_score_yet(repository, capsys):
    words = [sys.executable, "-m", "dvc", "exp", "run", "-q", "--name", "later", "-S", "head.loss=slow"]
    with subprocess.Popen(words) as process:
        try:
            while not (repository.parent / "started").exists() and process.poll() is None:
                time.sleep(0.05)
            found = by_name(list_runs())
            run()
        finally:
            (repository.parent / "go_on").touch()
    assert found == {"workspace": ("not run", None), "main": ("", 0.1), "later": ("running", None)}
    assert "| later | running | small | linear | slow |" in capsys.readouterr().out
    assert by_name(list_runs()) == {"workspace": ("", 0.1), "main": ("", 0.1), "later": ("", 0.1)}


@pytest.mark.slow
def test_a_failed_experiment_has_no_score(repository):
    dvc(repository, "exp", "run", "-q", "--queue", "--name", "bad", "-S", "head.loss=broken")
    dvc(repository, "exp", "run", "-q", "--run-all")
    states = [each.state for each in list_runs() if each.params["head.loss"] == "broken"]
    assert states == ["failed"]


def test_outside_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamError, match="no git repository"):
        list_runs()
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(ParamError, match="no git repository with a commit"):
        list_runs()

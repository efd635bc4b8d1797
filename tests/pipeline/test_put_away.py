"""What `dvc exp run` of another data set takes out of the workspace comes back."""

import shutil
from pathlib import Path

import pytest
from project import call

from pipeline.put_away import StageRun, consistent_outs, restore_data_sets

GRAPH = """
stages:
  prepare:
    cmd: python write.py artifacts/${name}/rows ${name}
    params: [name]
    outs: ["artifacts/${name}/rows"]
  train:
    cmd: python write.py artifacts/${name}/head/weights ${loss}
    params: [loss]
    deps: ["artifacts/${name}/rows"]
    outs: ["artifacts/${name}/head"]
"""
WRITE = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(sys.argv[2])
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    for name, text in (("dvc.yaml", GRAPH), ("write.py", WRITE), ("params.yaml", "name: a\nloss: triplet\n")):
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("/artifacts\n")
    call(folder, "git", "init", "-q", "-b", "main")
    call(folder, "git", "config", "user.name", "test")
    call(folder, "git", "config", "user.email", "test@example.com")
    call(folder, "dvc", "init", "-q")
    call(folder, "git", "add", "-A")
    call(folder, "git", "commit", "-qm", "start")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_the_other_data_set_comes_back_with_its_last_head(project):
    call(project, "dvc", "exp", "run", "-S", "loss=supcon")
    call(project, "dvc", "exp", "run", "-S", "name=b")
    assert not (project / "artifacts/a/rows").exists()  # if this fails, DVC keeps them now: put_away can go
    assert restore_data_sets() == ["a"]
    assert (project / "artifacts/a/rows").read_text() == "a"
    assert (project / "artifacts/a/head/weights").read_text() == "supcon"
    assert (project / "artifacts/b/head/weights").read_text() == "supcon"
    assert restore_data_sets() == []
    shutil.rmtree(project / ".dvc/cache/files")
    shutil.rmtree(project / "artifacts/a")
    assert restore_data_sets() == []


def test_outside_a_repository_nothing_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert restore_data_sets() == []


def run_of(reads: dict[str, str], writes: dict[str, str]) -> StageRun:
    return StageRun(reads, [{"path": f"artifacts/{path}", "md5": md5} for path, md5 in writes.items()])


def test_outputs_that_belong_together_are_the_last_ones_of_one_chain():
    runs = [  # the last first
        run_of({}, {"b/rows": "1"}),
        run_of({"artifacts/a/rows": "2"}, {"a/head": "of other rows"}),
        run_of({"artifacts/a/rows": "1"}, {"a/head": "new"}),
        run_of({"artifacts/a/rows": "1"}, {"a/head": "old"}),
        run_of({"artifacts/a/head": "old"}, {"a/scores": "old"}),
        run_of({}, {"a/rows": "1"}),
        run_of({}, {"a/rows": "2"}),
    ]
    assert [(out["path"], out["md5"]) for out in consistent_outs(runs, "a")] == [
        ("artifacts/a/rows", "1"),
        ("artifacts/a/head", "new"),
    ]

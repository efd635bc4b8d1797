"""DVC as a user runs it, on a small part of the default data: the graph, experiments, a remote."""

import json
import re
import shutil
from pathlib import Path

import pytest
from project import call, commit, copy_project, set_params

SMALL = {
    "data__limit": 240,
    "data__candidates": 10,
    "features__backbones": ["resnet18_random"],
    "backbones__resnet18_random__pixels": 32,
    "head__features": "resnet18_random",
    "head__epochs": 2,
    "head__seeds": 2,
    "head__dim": 16,
    "scores__n_bootstrap": 100,
}


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("project") / "lookalike", **SMALL)
    first = call(folder, "dvc", "repro")
    assert stages_run(first) == ["prepare", "extract@resnet18_random", "train", "evaluate"]
    commit(folder, "first run")
    return folder


def test_repro_gives_every_number_its_company(project):
    metrics = json.loads((project / "metrics.json").read_text())
    assert {"top1", "top2", "top2_ci", "recall_at_1", "map_at_r", "mrr", "baseline", "chance"} <= set(metrics)
    assert metrics["chance"]["top2"] == pytest.approx(0.2)
    assert 0 <= metrics["baseline"]["top2"] <= 1 and metrics["top2_ci"] > 0


def test_nothing_changed_runs_nothing(project):
    assert stages_run(call(project, "dvc", "repro")) == []


def test_another_loss_trains_and_evaluates_only_and_a_wrong_one_is_one_line(project):
    assert stages_run(call(project, "dvc", "exp", "run", "-S", "head.loss=triplet")) == ["train", "evaluate"]
    output = call(project, "dvc", "exp", "run", "-S", "head.loss=tripplet", code=255)
    assert "error: params.yaml: head.loss: no 'tripplet'; did you mean 'triplet'?" in output
    assert "Traceback" not in output
    call(project, "git", "checkout", "params.yaml")  # DVC leaves the wrong word there for its user to mend


def test_same_params_same_metrics(project):
    call(project, "dvc", "repro")  # another test's experiment may lie here
    before = (project / "metrics.json").read_bytes()
    call(project, "dvc", "repro", "--force", "--no-run-cache")
    assert (project / "metrics.json").read_bytes() == before


@pytest.mark.slow
def test_editing_a_loss_keeps_features_and_a_backbones_entry_concerns_it_alone(tmp_path):
    two = {"features__backbones": ["resnet18_random", "resnet18"]}
    small = {"backbones__resnet18__weights": "random", "backbones__resnet18__pixels": 32}
    folder = copy_project(tmp_path / "p", **SMALL | two | small)
    call(folder, "dvc", "repro")
    with (folder / "heads/losses/registry.py").open("a") as file:
        file.write("\n# an edit\n")
    assert stages_run(call(folder, "dvc", "repro")) == ["train", "evaluate"]
    set_params(folder, backbones__resnet18__pixels=40)
    assert stages_run(call(folder, "dvc", "repro")) == ["extract@resnet18"]


@pytest.mark.slow
def test_experiments_as_a_dvc_user_expects(project, tmp_path):
    folder = tmp_path / "p"
    shutil.copytree(project, folder, symlinks=True)
    call(folder, "dvc", "exp", "run", "--queue", "-S", "head.lr=0.001,0.01", "-n", "sweep")
    call(folder, "dvc", "queue", "start")
    for _ in range(60):
        if not re.search(r"Queued|Running", call(folder, "dvc", "queue", "status")):
            break
        call(folder, "sleep", "2")
    assert call(folder, "dvc", "queue", "status").count("Success") == 2
    shown = call(folder, "dvc", "exp", "show", "--csv", "--no-pager")
    header, *lines = [line for line in shown.splitlines() if line.count(",") > 5]
    assert "top2" in header and "baseline.top2" in header and "head.lr" in header
    assert len([line for line in lines if "sweep" in line]) == 2

    call(folder, "dvc", "exp", "run", "--temp", "-S", "head.loss=triplet", "-n", "aside")
    assert "loss: contrastive" in (folder / "params.yaml").read_text()
    call(folder, "dvc", "exp", "apply", "aside")
    assert "loss: triplet" in (folder / "params.yaml").read_text()
    drawn = json.loads(call(folder, "dvc", "plots", "diff", "HEAD", "--json"))
    assert {"training", "loss", "hit rate", "similarity", "roc"} <= set(drawn["data"]) and not drawn.get("errors")
    call(folder, "dvc", "plots", "show")
    assert (folder / "dvc_plots/index.html").stat().st_size > 1000


@pytest.mark.slow
def test_a_clone_without_images_trains_heads_from_a_remote(project, tmp_path):
    remote = tmp_path / "remote"
    call(project, "dvc", "remote", "add", "-d", "--local", "here", str(remote))
    call(project, "dvc", "push")
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", str(project), str(clone))
    call(clone, "dvc", "remote", "add", "-d", "--local", "here", str(remote))
    features = "artifacts/emoji/features/resnet18_random"
    call(clone, "dvc", "pull", features, "artifacts/emoji/rows.parquet", "artifacts/emoji/protocol.json")
    assert not (clone / "artifacts/emoji/images.parquet").exists()
    call(clone, "dvc", "repro", "--single-item", "--force", "train", "evaluate")
    assert (clone / "metrics.json").read_bytes() == (project / "metrics.json").read_bytes()
    output = call(clone, "dvc", "exp", "run", "--single-item", "-S", "head.loss=triplet", "train", "evaluate")
    assert stages_run(output) == ["train", "evaluate"]

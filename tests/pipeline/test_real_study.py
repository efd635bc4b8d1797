"""`study` through real DVC, on a small part of the default data: killed in the middle, gone on with, looked up."""

import csv
import hashlib
import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from project import call, copy_project

from features.backbones.small_networks import CifarResNet
from features.backbones.weights import random_network
from pipeline.studies.project_copy import BUILD
from pipeline.studies.running import RESULT

REAL = """
title: A report
set: &small
  head.features: tiny
  backbones.tiny: {library: torchvision, model: resnet18, weights: random, pixels: 32}
  data.limit: 240
  data.candidates: 10
  head.epochs: 2
  head.seeds: 2
  head.dim: 16
  scores.n_bootstrap: 100
roc: [triplet, infonce]
sections:
- title: Rows
  rows:
  - name: triplet
    set: {head.loss: triplet}
    compare: [{metric: test/top2, published: 0.1}]
  - name: infonce
    set: {head.loss: infonce}
    against: triplet
    compare: [{metric: test/top2}, {metric: top2}]
  - name: CLIP
    set: {head.features: clip_rn50x4}
    compare: [{metric: test/top2, published: 0.828}]
  - name: digits
    set: {data.name: mnist}
    compare: [{metric: test/top2}]
"""


def state(folder: Path) -> dict[str, str]:
    """What a user would call the workspace."""
    files = [folder / name for name in ("params.yaml", "metrics.json", "dvc.yaml", "heads/losses/registry.py")]
    found = {path.name: path.read_text() for path in files}
    status = call(folder, "git", "status", "--porcelain")
    written = ("studies/", "docs/results.md")  # what a study is there to write
    return found | {"git": "\n".join(line for line in status.splitlines() if not any(part in line for part in written))}


@pytest.mark.slow
def test_a_real_study(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = copy_project(tmp_path / "p")
    (folder / "studies/made.yaml").write_text(REAL)
    with (folder / "params.yaml").open("a") as file:
        file.write("# a user's own edit\n")
    with (folder / "heads/losses/registry.py").open("a") as file:
        file.write("# an edit that is not committed\n")
    before = state(folder)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/SHA256SUMS").touch()
    command = ("python", "-m", "pipeline", "study", "made", "--mirror", str(tmp_path / "mirror"))

    # Killed in the middle of a row: what had run stays, and the workspace with it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "LOOKALIKE_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, start_new_session=True) as run:
        log = folder / BUILD / "made-infonce/log"
        for _ in range(5000):  # at most 500 s
            if log.exists() and "Running stage 'train'" in log.read_text():
                break
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
    assert (folder / BUILD / "made-triplet" / RESULT).exists() and not (log.parent / RESULT).exists()
    assert state(folder) == before

    said = call(folder, *command)
    assert "  triplet: here already" in said
    assert re.search(r"  infonce: test/top2 0\.\d+, top2 0\.\d+\n", said)
    assert re.search(
        r"  CLIP: not run: weights: backbones\.clip_rn50x4: cannot download .*; fetch it on a machine", said
    )
    assert "  digits: not run: data: data.mirror: " in said and "does not list mnist/train-images-idx3" in said
    assert "Traceback" not in said
    assert state(folder) == before

    found = {
        (line["row"], line["metric"]): line
        for line in csv.DictReader((folder / "studies/made.csv").read_text().splitlines())
    }
    line = found["infonce", "test/top2"]
    assert float(line["ours"]) == float(found["infonce", "top2"]["ours"])
    assert float(line["chance"]) == 0.2 and float(line["half_width"]) > 0 and float(line["seconds"]) > 0
    assert float(line["difference"]) == pytest.approx(
        float(line["ours"]) - float(found["triplet", "test/top2"]["ours"]), abs=2e-4
    )
    curves = list(csv.DictReader((folder / "studies/made.roc.csv").read_text().splitlines()))
    assert {point["row"] for point in curves} == {"triplet", "infonce"}
    assert "](made.roc.svg)" in (folder / "studies/made.md").read_text() and (folder / "studies/made.roc.svg").exists()
    # They are DVC's experiments: listed, and to be taken over.
    assert {"made-triplet", "made-infonce"} <= set(call(folder, "dvc", "exp", "list", "--name-only").split())
    # Without what was kept, DVC's cache has it; what is edited and not committed is part of what runs.
    shutil.rmtree(folder / BUILD / "made-infonce")
    call(folder, *command, "--rows", "infonce")
    assert "Running stage" not in (folder / BUILD / "made-infonce/log").read_text()
    with (folder / "heads/losses/registry.py").open("a") as file:
        file.write("raise RuntimeError('an edit')\n")
    said = call(folder, *command, "--rows", "infonce", code=1)
    assert "  infonce: failed: failed to reproduce 'train'" in said
    assert "RuntimeError: an edit" in (folder / BUILD / "made-infonce/log").read_text()


CIFAR = """
title: A report
set:
  data.name: cifar100
  data.seen: 4
  data.candidates: 5
  data.pairs: 50
  data.triplets: 50
  data.episodes: {count: 20, way: 2, shot: 1, queries: 1}
  scores.n_bootstrap: 100
  finetunes.siamese:
    network: {library: local, model: cifar_resnet20, weights: random, pixels: 32}
    loss: triplet
    margin: 0.3
    negatives: random:1
    batch: 16
    epochs: 1
    augment: {flip: true}
  head.features: siamese
  head.model: identity
  head.loss: triplet
  head.seeds: 1
  head.epochs: 1
curve: {title: Budget, x: seen classes, metrics: [seen/triplet_accuracy, unseen/balanced_accuracy]}
sections:
- title: Rows
  rows:
  - name: 4-2
    point: {series: recipe, x: 4}
    compare:
    - {metric: seen/triplet_accuracy, published: 0.9}
    - {metric: seen/balanced_accuracy, published: 0.8}
    - {metric: unseen/accuracy, published: 0.5, published_as: ("few shot")}
    - {metric: unseen/fewshot_accuracy}
  - name: 4-2 its network
    point: {series: its network, x: 4}
    set:
      finetunes: {}
      head.features: its_network
      backbones.its_network:
        library: local
        model: cifar_resnet20
        weights: report/4-2.pt
        pixels: 32
        mean: [0.49, 0.48, 0.44]
        std: [0.2, 0.2, 0.2]
    compare:
    - {metric: seen/triplet_accuracy, published: 0.9}
    - {metric: unseen/balanced_accuracy}
"""


def small_cifar(path: Path) -> None:
    """cifar-100-python.tar.gz in the official layout: 6 classes, 12 training and 6 test images of each."""
    rng = np.random.default_rng(0)
    names = [f"class {i}".encode() for i in range(6)]
    files = {"meta": {b"fine_label_names": names, b"coarse_label_names": [b"thing"]}}
    for part, each in (("train", 12), ("test", 6)):
        labels = np.repeat(np.arange(6), each)
        pixels = rng.integers(0, 256, (len(labels), 3072)).astype(np.uint8)
        files[part] = {b"data": pixels, b"fine_labels": labels.tolist(), b"coarse_labels": [0] * len(labels)}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            pickled = pickle.dumps(content)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(pickled)
            tar.addfile(member, io.BytesIO(pickled))


@pytest.mark.slow
def test_a_network_trained_on_an_archive_in_the_official_layout(tmp_path):
    folder = copy_project(tmp_path / "p")
    (folder / "studies/made.yaml").write_text(CIFAR)
    archive = tmp_path / "mirror/cifar100/cifar-100-python.tar.gz"
    archive.parent.mkdir(parents=True)
    small_cifar(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "mirror/SHA256SUMS").write_text(f"{digest}  cifar100/{archive.name}\n")
    command = ("python", "-m", "pipeline", "study", "made", "--mirror", str(tmp_path / "mirror"))
    said = call(folder, *command)
    assert "  4-2: seen/triplet_accuracy 0." in said
    assert "  4-2 its network: not run: weights: " in said and "--weights FOLDER" in said
    # The report's own network, re-scored: its checkpoint, with the mean and std of its training.
    checkpoint = tmp_path / "weights/report/4-2.pt"
    checkpoint.parent.mkdir(parents=True)
    torch.save(random_network(lambda: CifarResNet(20)).state_dict(), checkpoint)
    said = call(folder, *command, "--weights", str(tmp_path / "weights"))
    assert "  4-2: here already" in said and "  4-2 its network: seen/triplet_accuracy 0." in said
    curve = list(csv.DictReader((folder / "studies/made.curve.csv").read_text().splitlines()))
    assert {(point["series"], point["x"]) for point in curve} == {
        (name, "4.0") for name in ("published", "recipe", "its network")
    }
    assert "](made.curve.svg)" in (folder / "studies/made.md").read_text()
    lines = list(csv.DictReader((folder / "studies/made.csv").read_text().splitlines()))
    found = {line["metric"]: line for line in lines if line["row"] == "4-2"}
    assert float(found["seen/balanced_accuracy"]["trivial"]) == 0.5
    # Two unseen classes of six: of an image's 11 others, 6 are of the other class.
    assert float(found["unseen/accuracy"]["trivial"]) == pytest.approx(6 / 11, abs=1e-4)
    assert float(found["unseen/fewshot_accuracy"]["chance"]) == pytest.approx(0.5)
    assert float(found["seen/triplet_accuracy"]["seconds"]) > 0
    assert str(tmp_path) not in (folder / "studies/made.md").read_text() + (folder / "studies/made.csv").read_text()

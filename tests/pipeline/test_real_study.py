"""`study` through real DVC, on a small part of the default data: killed in the middle, gone on with, looked up."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import call, copy_project

from pipeline.studies.running import KEPT, RESULT

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
  scores.draws: 100
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
    files = [folder / name for name in ("params.yaml", "metrics.json", "dvc.yaml", "heads/losses.py")]
    found = {path.name: path.read_text() for path in files}
    status = call(folder, "git", "status", "--porcelain")
    return found | {"git": "\n".join(line for line in status.splitlines() if "studies/" not in line)}


@pytest.mark.slow
def test_a_real_study(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = copy_project(tmp_path / "p")
    (folder / "studies/made.yaml").write_text(REAL)
    with (folder / "params.yaml").open("a") as file:
        file.write("# a user's own edit\n")
    with (folder / "heads/losses.py").open("a") as file:
        file.write("# an edit that is not committed\n")
    before = state(folder)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/SHA256SUMS").touch()
    command = ("python", "-m", "pipeline", "study", "made", "--mirror", str(tmp_path / "mirror"))

    # Killed in the middle of a row: what had run stays, and the workspace with it.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "LOOKALIKE_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, start_new_session=True) as run:
        log = folder / KEPT / "made-infonce/log"
        for _ in range(1200):
            if log.exists() and "Running stage 'train'" in log.read_text():
                break
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
    assert (folder / KEPT / "made-triplet" / RESULT).exists() and not (log.parent / RESULT).exists()
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
    assert float(line["chance"]) == 0.2 and float(line["half"]) > 0 and float(line["seconds"]) > 0
    assert float(line["difference"]) == pytest.approx(
        float(line["ours"]) - float(found["triplet", "test/top2"]["ours"]), abs=2e-4
    )
    # They are DVC's experiments: listed, and to be taken over.
    assert {"made-triplet", "made-infonce"} <= set(call(folder, "dvc", "exp", "list", "--name-only").split())
    # Another commit, and all is still here; without what was kept, DVC's cache has it.
    again = call(folder, *command, "--rows", "triplet")
    assert "  triplet: here already" in again
    shutil.rmtree(folder / KEPT)
    call(folder, *command, "--rows", "infonce")
    log = (folder / KEPT / "made-infonce/log").read_text()
    assert "Running stage" not in log

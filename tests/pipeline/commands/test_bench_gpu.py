"""`bench gpu` where there is no card: parts apart from each other, missing packages, what is written."""

import csv
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from pipeline.commands import bench_gpu
from pipeline.commands.bench_gpu import BUDGETS, ROW, run, run_part
from pipeline.errors import ParamError

TOP = Path(__file__).parents[3]
# What a CUDA machine need not have; filelock comes with torch. A finder that refuses them stands for their absence.
ABSENT = (
    "dvc",
    "faiss",
    "gradio",
    "hypothesis",
    "jinja2",
    "matplotlib",
    "onnxruntime",
    "open_clip",
    "psutil",
    "pytest",
    "pytorch_metric_learning",
    "scipy",
    "sklearn",
    "typer",
)
BLOCKER = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    def invalidate_caches(self):
        pass

sys.meta_path.insert(0, Blocked())
import importlib.util
whole = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {ABSENT!r} else whole(name, package)
"""


def bare_machine(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """The command on a machine that has only torch, torchvision, timm, pyarrow, pydantic, ruamel.yaml and numpy."""
    (folder / "sitecustomize.py").write_text(BLOCKER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(TOP)])}
    command = [sys.executable, "-m", "pipeline.commands.bench_gpu", "--device", "cpu", "--small", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_parts_and_budgets_are_the_same():
    from pipeline.commands.bench_gpu_parts import PARTS

    assert set(PARTS) == set(BUDGETS)


def test_on_a_machine_with_little_installed(tmp_path):
    done = bare_machine(tmp_path, "interchange", "heads", "tests", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not installed here: pytest (skipped: the tests)" in done.stdout
    assert "tests: skipped: needs pytest" in done.stdout
    assert "interchange: ok" in done.stdout  # extraction reads what the command writes
    with (tmp_path / "out/gpu_heads.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["contender"] for row in rows] == ["ours", "plain loop", "ours, 5 seeds"]
    assert all(row["card"] == "none" and row["torch"] == torch.__version__.partition("+")[0] for row in rows)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"gpu_heads.csv", "gpu_interchange.csv", "gpu_parts.csv"}


@pytest.mark.slow
def test_every_part_on_a_machine_with_little_installed(tmp_path):
    done = bare_machine(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": ok") == len(BUDGETS) - 1 and "failed" not in done.stdout
    assert "->" not in done.stdout  # figures of a CPU are not those of a card


def part_that(monkeypatch, tmp_path: Path, body: str) -> None:
    """Parts run `body` in their process."""
    script = tmp_path / "part.py"
    script.write_text(textwrap.dedent(body))
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: start([sys.executable, str(script)], **more))


def test_a_part_that_fails_keeps_its_rows_and_the_others_run(monkeypatch, tmp_path, capsys):
    row = f'{ROW}["ranking", {{"queries": 5, "gallery": 7}}]'
    part_that(monkeypatch, tmp_path, f'print({row!r})\nraise ValueError("broken")')
    assert not run(parts=["ranking", "heads"], on="cpu", small=True, out=tmp_path / "out")
    printed = capsys.readouterr().out
    assert "ranking: failed: ValueError: broken" in printed and "heads: failed: ValueError: broken" in printed
    assert (tmp_path / "out/gpu_ranking.csv").read_text().count("\n5,7,") == 2
    assert "failed: ValueError" in (tmp_path / "out/gpu_parts.csv").read_text()


def test_a_part_that_hangs_is_stopped(monkeypatch, tmp_path):
    part_that(monkeypatch, tmp_path, "import time\nprint('begun', flush=True)\ntime.sleep(600)")
    outcome, rows = run_part("heads", on="cpu", small=True, seconds=6)
    assert outcome == "failed: not done after 6 s" and rows == []


def test_the_last_row_of_the_same_name_counts(monkeypatch, tmp_path):
    lines = [f'{ROW}["extract", {{"network": "A", "pixels": 9, "whole": {value}}}]' for value in (1, 2)]
    part_that(monkeypatch, tmp_path, f"print({chr(10).join(lines)!r})")
    assert run_part("heads", on="cpu", small=True, seconds=60) == (
        "ok",
        [("extract", {"network": "A", "pixels": 9, "whole": 2})],
    )


def test_what_cannot_be_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamError, match=r"no CUDA card here; .* --device cpu"):
        run()
    with pytest.raises(ParamError, match="no part 'rank'; known: interchange"):
        run(parts=["rank"], on="cpu")
    with pytest.raises(ParamError, match="no device 'gpu'"):
        run(on="gpu")
    assert bench_gpu.TOTAL < 600

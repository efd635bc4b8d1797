"""Every command where something is missing: one line that names the remedy, never a traceback."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import usable
from pictures import png
from ruamel.yaml import YAML
from typer.main import get_command

from pipeline.cli.app import app, main

TOP = Path(__file__).parents[2]
IMAGE = "a.png"
ARGUMENTS = {"images": [IMAGE, IMAGE], "before": ["HEAD"], "name": ["mnist"], "folder": ["."]}
OF_STAGES = {"extract": "small", "finetune": "tuned", "concat": "both"}
WITHOUT_DATA = ("check", "datasets", "demo", "results")  # these need neither git nor artifacts
SYNTHETIC = (
    "bench engines",
    "bench finetune",
    "bench ranking",
    "bench extract",
    "bench gpu",
)  # these make their own inputs, and take their time


def commands(group: Any, words: tuple[str, ...] = ()) -> list[list[str]]:
    """Every command of the program, with an argument where it needs one."""
    if hasattr(group, "commands"):
        return [found for name, each in group.commands.items() for found in commands(each, (*words, name))]
    arguments = [
        name for each in group.params if each.param_type_name == "argument" for name in [each.name] if each.required
    ]
    values = [value for name in arguments for value in ARGUMENTS.get(name, [])]
    if words[0] in OF_STAGES:
        values = [OF_STAGES[words[0]]]
    return [[*words, *(values or (["mnist"] if words == ("study",) else []))]]


def of_readme() -> list[list[str]]:
    """The lines of README and docs that start with `python -m pipeline`."""
    texts = [path.read_text(encoding="utf-8") for path in (TOP / "README.md", *sorted((TOP / "docs").glob("*.md")))]
    lines = [line.split("#")[0] for text in texts for line in re.findall(r"^python -m pipeline (.*)$", text, re.M)]
    return [
        [IMAGE if word.endswith((".jpg", ".png")) and "/" not in word else word for word in shlex.split(line)]
        for line in lines
    ]


def all_commands() -> list[str]:
    found = [shlex.join(words) for words in (*commands(get_command(app)), *of_readme())]
    skipped = (*WITHOUT_DATA, *SYNTHETIC)
    return [words for words in dict.fromkeys(found) if not words.startswith(skipped)]


def ran(words: str, monkeypatch, capsys) -> str:
    """The last line of what a command prints to stderr; it must end with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["pipeline", *shlex.split(words)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 2, printed
    assert "Traceback" not in printed
    return printed.strip().splitlines()[-1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that a ZIP download has, without artifacts and without git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("dvc.yaml", "dvc.lock"):
        shutil.copy(TOP / name, name)
    shutil.copytree(TOP / "studies", "studies")
    shutil.copytree(TOP / "data", "data", ignore=shutil.ignore_patterns("__pycache__"))
    with Path("params.yaml").open("w") as file:
        YAML().dump(usable_params(), file)
    Path(IMAGE).write_bytes(png(1))
    return tmp_path


def usable_params() -> dict:
    params = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    network = usable.SMALL
    return params | {
        "backbones": params["backbones"] | {"small": network},
        "features": params["features"] | {"backbones": ["small", "resnet18_random"]},
        "concatenations": {"both": {"features": ["small", "resnet18_random"]}},
        "finetunes": {"tuned": {"network": network}},
        "head": params["head"] | {"features": "small"},
    }


@pytest.mark.parametrize("words", all_commands())
def test_without_git_and_artifacts(words, folder, monkeypatch, capsys):
    if words == "prepare":
        pytest.skip("its data come with a package: it runs")
    assert ran(words, monkeypatch, capsys).startswith("error: ")


@pytest.mark.parametrize(
    "words",
    [
        words
        for words in all_commands()
        if not words.startswith(("study", "prepare", "extract", "finetune", "diff", "table"))
    ],
)
def test_without_the_feature_set_of_the_head(words, folder, monkeypatch, capsys):
    usable.make_images()
    usable.write_small_protocol()
    assert ran(words, monkeypatch, capsys).startswith("error: ")


@pytest.mark.parametrize("words", ["diff HEAD", "diff HEAD workspace", "table", "table --all-commits"])
def test_in_a_repository_without_outputs(words, folder, monkeypatch, capsys):
    """A commit whose outputs are nowhere, as on a fresh clone without a remote."""
    for command in (
        "git init -q",
        f"{shlex.quote(sys.executable)} -m dvc init -q",
        "git add -A",
        "git -c user.name=a -c user.email=a@b.example commit -qm start",
    ):
        subprocess.run(command, shell=True, check=True)
    assert ran(words, monkeypatch, capsys).startswith("error: ")

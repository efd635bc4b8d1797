"""docs/new_loss.md as it is written, through real DVC."""

import re
from pathlib import Path

import pytest
from project import call, copy_project

from pipeline.params_schema import FILE

TOP = Path(__file__).parents[2]
SMALL = {
    "features__backbones": ["resnet18_random"],
    "backbones__resnet18_random__pixels": 32,
    "head__features": "resnet18_random",
    "head__epochs": 2,
    "head__seeds": 1,
    "data__limit": 240,
    "data__candidates": 10,
    "scores__n_bootstrap": 100,
}


def documented() -> tuple[str, list[str]]:
    """The code of the loss, and the commands."""
    text = (TOP / "docs/new_loss.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    commands = re.findall(r"^(?:dvc|python) .*", text, re.MULTILINE)
    assert code and commands
    return code[1], commands


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(.*?)'", output)


@pytest.mark.slow
def test_a_loss_of_ones_own_as_documented(tmp_path):
    code, commands = documented()
    folder = copy_project(tmp_path / "p", **SMALL)
    call(folder, "dvc", "repro")
    file, history = folder / "my_losses.py", folder / "artifacts/emoji/head/history.csv"
    file.write_text(code)
    trained = []
    for command in commands:
        output = call(folder, "bash", "-c", command)
        assert stages_run(output) == ["train", "evaluate"], command
        trained.append(history.read_text())
    assert len(set(trained)) == len(commands)  # other arguments, another training
    assert stages_run(call(folder, "dvc", "repro")) == []

    # An edit of the file trains again, and of nothing else.
    file.write_text(code.replace(".mean()", ".sum()"))
    assert stages_run(call(folder, "dvc", "repro")) == ["train", "evaluate"]
    assert history.read_text() != trained[-1]
    # DVC has written params.yaml anew, and editors still find its schema.
    assert (folder / "params.yaml").read_text().startswith(f"# yaml-language-server: $schema={FILE.relative_to(TOP)}\n")

    # What is wrong is one line.
    for text, words in (
        (code.replace("def soft_triplet", "def other"), "module 'my_losses' has no function 'soft_triplet'"),
        (code.replace(".mean()", ""), "my_losses:soft_triplet must return a scalar"),
        (code.replace("similarity.masked_fill", "similarity.masked"), "my_losses:soft_triplet: AttributeError"),
        ("import nowhere\n" + code, "no module 'nowhere'"),
        ("def soft_triplet(\n", "'my_losses' cannot be imported: SyntaxError"),
    ):
        file.write_text(text)
        output = call(folder, "dvc", "repro", code=255)
        assert output.count("error: ") == 1 and words in output and "Traceback" not in output, output
    file.unlink()
    output = call(folder, "dvc", "repro", code=255)
    assert "my_losses.py" in output and "Traceback" not in output
    assert "error: " in call(folder, "python", "-m", "pipeline", "check", code=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("head.loss=my_losses:soft_triplet",), "set code to its file"),
        (("head.code=my_losses.py",), "set code to heads/losses"),  # without a loss of one's own it has no effect
    ],
)
def test_loss_and_file_go_together(tmp_path, settings, words):
    folder = copy_project(tmp_path / "p", **SMALL)
    (folder / "my_losses.py").write_text(documented()[0])
    output = call(folder, "dvc", "exp", "run", *(word for each in settings for word in ("-S", each)), code=255)
    assert output.count("error: ") == 1 and words in output

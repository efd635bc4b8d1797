"""`compare`, as a person calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from edited_head import edit_weights
from usable import FOLDER, make_usable

import pipeline
from data.images.open_images import open_images
from pipeline import load_head
from pipeline.cli import app as cli
from pipeline.commands import compare
from pipeline.errors import ParamError

pytestmark = pytest.mark.forward

TOP = Path(__file__).parents[3]


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    images, _ = make_usable(dim=8)
    for number, content in enumerate(images[:3]):
        Path(f"{number}.png").write_bytes(content)
    return ["0.png", "1.png", "2.png"]


def said(capsys, *images, **options) -> str:
    compare.run(open_images(images), folder=FOLDER / "head", **options)
    return capsys.readouterr().out


def test_two_images(images, capsys):
    similarity = float(load_head(FOLDER / "head").similarity(*images[:2]))
    title, line, note = said(capsys, *images[:2]).splitlines()
    assert title.split() == ["similarity", "probability"]
    word = "alike" if similarity >= 0.5 else "different"
    assert line.split() == [f"{similarity:.3f}", line.split()[1], word, "0.png", "1.png"]
    assert note == "alike from 0.500 on; probability where half of the pairs are alike, as on val"


def test_the_first_against_each_or_every_pair(images, capsys):
    def pairs(**options):
        told = json.loads(said(capsys, *images, as_json=True, **options))
        assert told["threshold"] == 0.5
        return {(one["a"], one["b"]): one for one in told["pairs"]}

    first, every = pairs(), pairs(every=True)
    assert list(first) == [("0.png", "1.png"), ("0.png", "2.png")]
    assert list(every) == [("0.png", "1.png"), ("0.png", "2.png"), ("1.png", "2.png")]
    matrix = load_head(FOLDER / "head").compare(images, images)
    for (a, b), one in every.items():
        place = images.index(a), images.index(b)
        assert one["similarity"] == pytest.approx(matrix.similarity[place], abs=1e-4)
        assert one["probability"] == pytest.approx(matrix.probability[place], abs=1e-4)
        assert one["alike"] == matrix.alike[place] == (one["similarity"] >= 0.5)
        assert first.get((a, b), one) == one


def test_one_image_is_not_enough(images):
    with pytest.raises(ParamError, match="compare needs two images or more, 1 given"):
        compare.run(open_images(images[:1]), folder=FOLDER / "head")


def test_a_head_of_weights_that_are_not_numbers_is_one_line(images, capsys, monkeypatch):
    edit_weights(FOLDER / "head", lambda value: torch.full_like(value, float("nan")))
    monkeypatch.setattr(sys, "argv", ["pipeline", "compare", *images, "--head", str(FOLDER / "head")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr().err
    assert stopped.value.code == 2 and printed.startswith("error: ") and printed.count("\n") == 1


def test_a_name_is_one_line(images, capsys):
    Path("a\nb\x1b[31m.png").write_bytes(Path("0.png").read_bytes())
    line = said(capsys, "0.png", "a\nb\x1b[31m.png").splitlines()[1]
    assert line.endswith(r"0.png  a\nb\x1b[31m.png") and line.split()[:3] == ["1.000", "0.953", "alike"]


def test_a_name_that_is_no_text_is_json_all_the_same(images, capsys):
    name = os.fsdecode(b"\xff.png")
    Path(name).write_bytes(Path("0.png").read_bytes())
    text = said(capsys, "0.png", name, as_json=True)
    assert text.isascii() and json.loads(text)["pairs"][0]["b"] == name


def command(*words: str) -> subprocess.CompletedProcess:
    """A process of its own, in which nothing heavy can be imported."""
    code = """
import sys
sys.modules["torch"] = None
from pipeline.cli.app import main
main()
"""
    path = {"PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0.png", "gone.png"], "error: gone.png: No such file or directory; give another image\n"),
        (["0.png", "page.jpg"], "error: page.jpg: unreadable: not an image in a known format; give another image\n"),
        (
            ["http://example.com/a.png", "0.png"],
            "error: http://example.com/a.png: not on this machine (localhost alone ",
        ),
    ],
)
def test_mistakes_are_one_line_before_any_network_is_imported(images, words, message):
    Path("page.jpg").write_text("<html>")
    done = command("compare", *words, "--head", "nowhere")
    assert done.returncode == 2 and done.stderr.startswith(message) and done.stderr.count("\n") == 1


def test_no_head_yet(images, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pipeline", "compare", *images, "--head", "artifacts/other/head"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    message = "error: artifacts/other/head/head.json: no trained head here: run `dvc repro train`\n"
    assert (stopped.value.code, capsys.readouterr().err) == (2, message)


def test_only_what_is_there_can_be_imported():
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'load_heads'"):
        _ = pipeline.load_heads

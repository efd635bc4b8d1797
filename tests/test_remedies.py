"""Every remedy that a message gives is tried: the fault is made, the message read, and what it says is done."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from edited_head import edit_head
from project import call, commit, copy_project

from data.tables.protocol import read_protocol, write_protocol

TOP = Path(__file__).parents[1]
HERE = Path("artifacts/emoji")
SMALL = {"library": "local", "model": "conv4", "weights": "random", "pixels": 16}
PARAMS = {
    "data__limit": 240,
    "data__candidates": 10,
    "backbones__small": SMALL,
    "features__backbones": ["small"],
    "finetunes": {"mine": {"network": SMALL, "loss": "infonce", "batch": 16, "epochs": 1, "select": "top1"}},
    "head__features": "mine",
    "head__epochs": 1,
    "head__seeds": 1,
    "head__dim": 16,
    "scores__n_bootstrap": 100,
}
# Commands in messages, and what tries them: faults below, or tests elsewhere.
TRIED = {
    "dvc repro": "features.npy",
    "dvc repro prepare": "protocol.json",
    "dvc repro train": "no head",
    "dvc repro evaluate": "no scores",
    "dvc repro --force": "a sidecar that names no network",
    "dvc repro --force --single-item train": "head.safetensors",
    "python -m pipeline check": "features.npy, and DVC's cache",
}
# They name what a person looks at, or fetches from elsewhere.
NOT_HERE = ("dvc exp show", "dvc fetch", "dvc init", "git ", "make setup", "pip install", "python -m pipeline ")


def commands(text: str) -> list[str]:
    return re.findall(r"`((?:dvc|git|make|pip|python) [^`]*)`", text)


def texts(tree: ast.Module) -> list[str]:
    """Every text of a module that is no docstring; what is put into it is `{}`."""
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]
    docstrings = {id(node.body[0].value) for node in holders if node.body and isinstance(node.body[0], ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found.append(node.value)
    return found


def test_every_remedy_in_a_message_is_tried_by_a_test():
    said = set()
    for package in ("data", "features", "heads", "pipeline"):
        for file in (TOP / package).rglob("*.py"):
            said.update(*map(commands, texts(ast.parse(file.read_text()))))
    assert said >= TRIED.keys() and set(TRIED.values()) <= FAULTS.keys()
    assert not [command for command in said - TRIED.keys() if not command.startswith(NOT_HERE)]


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.chmod(0o644)
    path.unlink()
    path.write_bytes(content)


def flip_in_cache_too(path: Path, place: int = -1) -> None:
    """DVC restores the object without looking at it."""
    content = path.read_bytes()
    objects = [one for one in Path(".dvc/cache").rglob("*") if one.is_file() and one.read_bytes() == content]
    assert objects
    for one in (path, *objects):
        flip(one, place)


def without_sha256(path: Path) -> None:
    path.write_text(re.sub(r'\n\s*"sha256": "\w*",', "", path.read_text()))


def exchange(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def names_no_network(folder: Path) -> None:
    from features.storage.sealed_json import seal, unseal

    path = folder / "features.json"
    path.write_bytes(seal(unseal(path.read_bytes()) | {"provenance": {"something": "else"}}))


def of_another_seed(path: Path) -> None:
    write_protocol(replace(read_protocol(path), seed=9), path)


def reverse(path: Path) -> None:
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.take(np.arange(len(table))[::-1]), path)


def with_other_settings(folder: Path) -> None:
    settings = json.loads((folder / "head.json").read_text())["settings"]
    path = folder / "head.json"
    path.chmod(0o644)
    edit_head(folder, settings=settings | {"loss": "triplet"})


EVALUATE, TRAIN, VERIFY, SEARCH = ["evaluate"], ["train"], ["verify"], ["search", "0.png"]
COMPARE = ["compare", "0.png", "1.png"]
Fault = tuple[Callable[[], object], list[str]]
FAULTS: dict[str, Fault] = {
    "no head": (lambda: shutil.rmtree(HERE / "head"), EVALUATE),
    "head.safetensors": (lambda: flip(HERE / "head/head.safetensors"), EVALUATE),
    "head.safetensors, and DVC's cache": (lambda: flip_in_cache_too(HERE / "head/head.safetensors"), COMPARE),
    "head.json": (lambda: flip(HERE / "head/head.json", 300), COMPARE),
    "a head of another version": (lambda: without_sha256(HERE / "head/head.json"), COMPARE),
    "a head of other settings": (lambda: with_other_settings(HERE / "head"), EVALUATE),
    "protocol.json": (lambda: flip(HERE / "protocol.json", 300), TRAIN),
    "protocol.json, and DVC's cache": (lambda: flip_in_cache_too(HERE / "protocol.json", 300), EVALUATE),
    "protocol.json of another seed": (lambda: of_another_seed(HERE / "protocol.json"), SEARCH),
    "no protocol.json": (lambda: (HERE / "protocol.json").unlink(), TRAIN),
    "rows.parquet": (lambda: flip(HERE / "rows.parquet", 60), TRAIN),
    "rows.parquet, and DVC's cache": (lambda: flip_in_cache_too(HERE / "rows.parquet", 60), TRAIN),
    "images.parquet": (lambda: flip(HERE / "images.parquet", 60), ["extract", "small"]),
    "images.parquet in another order": (lambda: reverse(HERE / "images.parquet"), ["extract", "small"]),
    "features.npy": (lambda: flip(HERE / "features/mine/features.npy"), TRAIN),
    "features.npy, and DVC's cache": (lambda: flip_in_cache_too(HERE / "features/mine/features.npy"), TRAIN),
    "features.json": (lambda: flip(HERE / "features/mine/features.json", 300), TRAIN),
    "features exchanged": (lambda: exchange(HERE / "features/mine", HERE / "features/small"), TRAIN),
    "a sidecar that names no network": (lambda: names_no_network(HERE / "features/mine"), COMPARE),
    "network.safetensors": (lambda: flip(HERE / "networks/mine/network.safetensors"), COMPARE),
    "network.json": (lambda: flip(HERE / "networks/mine/network.json", 100), VERIFY),
    "network, and DVC's cache": (lambda: flip_in_cache_too(HERE / "networks/mine/network.safetensors"), COMPARE),
    "no scores": (lambda: shutil.rmtree(HERE / "scores"), ["report"]),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    from small_images import encode

    folder = copy_project(tmp_path_factory.mktemp("project") / "lookalike", **PARAMS)
    call(folder, "dvc", "repro")
    for seed in range(2):
        (folder / f"{seed}.png").write_bytes(encode(seed))
    commit(folder, "made")
    return folder


def try_again(folder: Path, words: list[str]) -> str:
    """The error of a command, one line; empty where it works."""
    call_anyway = [sys.executable, "-m", "pipeline", *words]
    done = subprocess.run(call_anyway, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("error: ")) if done.returncode else ""


def follow(folder: Path, message: str, words: list[str]) -> None:
    """Do what the message says."""
    first, *then = [command.split() for command in commands(message)]
    for _ in range(1 + bool(then)):
        if place := re.search(r"delete (artifacts/\S+)", message):
            shutil.rmtree(folder / place[1], ignore_errors=True)
        call(folder, *first)
        if not try_again(folder, words):
            return
        for command in then:  # "if that brings it back"
            call(folder, sys.executable, *command[1:])


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_message_says_mends_the_fault(made, monkeypatch, fault):
    monkeypatch.chdir(made)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(made.parent / "cache"))
    damage, words = FAULTS[fault]
    assert not try_again(made, words)
    call(made, "dvc", "repro")  # what `words` wrote is DVC's again
    damage()
    message = try_again(made, words)
    assert message.startswith("error: ") and commands(message), message
    follow(made, message, words)
    assert not try_again(made, words), message
    call(made, "dvc", "repro")
    assert not try_again(made, words)

"""Every artifact and every cache is changed behind the pipeline's back; then all commands run that read it.

Each ends with one line that names a remedy, or writes and prints the very bytes that it would have without the change.
"""

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import set_params
from small_images import encode
from small_project import STAGES, write_params

from pipeline.cli.app import main

pytestmark = pytest.mark.slow

DATASET = Path("artifacts/emoji")
FEATURES, NETWORK, HEAD, CACHE = DATASET / "features", DATASET / "networks/mine", DATASET / "head", Path("cache")
OTHER_DATA, OTHER_HEAD = Path("../other_data") / DATASET, Path("../other_head") / HEAD


@dataclass(frozen=True)
class Result:
    code: int
    out: str  # of a command that writes nothing
    error: str
    files: dict[str, bytes]  # that the command writes


# Command -> what it writes. Those that only read come first: stages write anew what was changed.
COMMANDS = {
    "compare 0.png 1.png": [],
    "search 0.png --k 5": [],
    "verify": [],
    "audit": [],
    "evaluate": ["metrics.json", "artifacts/emoji/scores"],
    "train": ["artifacts/emoji/head"],
    "concat both": ["artifacts/emoji/features/both"],
    "extract small": ["artifacts/emoji/features/small"],
    "finetune mine": ["artifacts/emoji/features/mine", "artifacts/emoji/networks"],
}


def run(command: str) -> Result:
    """In this process, which has imported everything already, in the folder of the moment."""
    out, error = io.StringIO(), io.StringIO()
    code, argv = 0, sys.argv
    sys.argv = ["pipeline", *command.split()]
    try:
        with redirect_stdout(out), redirect_stderr(error):
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = argv
    places = COMMANDS.get(command, [])
    written = [path for place in places for path in [Path(place), *Path(place).rglob("*")]]
    files = {path.as_posix(): path.read_bytes() for path in written if path.is_file()}
    return Result(code, "" if places else out.getvalue(), error.getvalue(), files)


def copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    shutil.copy(source, target)


def flip(path: Path, part: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(part * len(content))] ^= 1
    path.unlink()  # not in place: another process may have it mapped
    path.write_bytes(content)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def exchange(first: Path, second: Path) -> None:
    first.rename("aside")
    second.rename(first)
    Path("aside").rename(second)


def edit(path: Path, key: str) -> None:
    """Another value of the same kind; the sha256 in the file stays."""
    about = json.loads(path.read_text())
    *parents, last = key.split(".")
    place = about
    for parent in parents:
        place = place[int(parent) if parent.isdigit() else parent]
    value = place[int(last) if last.isdigit() else last]
    place[int(last) if last.isdigit() else last] = value[::-1] if isinstance(value, str) else value + 1
    compact = path.name == "protocol.json"
    path.write_text(json.dumps(about, separators=(",", ":")) + "\n" if compact else json.dumps(about, indent=2) + "\n")


def edit_table(path: Path, column: str) -> None:
    """The first row gets the first value that is another one."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    place, other = table.column_names.index(column), next(value for value in values if value != values[0])
    pq.write_table(table.set_column(place, column, pa.array([other, *values[1:]], table[column].type)), path)


def reverse(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.take(np.arange(len(table))[::-1]), path)


def flip_cached(pattern: str) -> None:
    found = [path for path in CACHE.glob(pattern) if path.is_file()]
    assert found
    for path in found:
        flip(path)


def both(folder: Path, source: Path, *names: str) -> None:
    for name in names:
        copy(source / name, folder / name)


WEIGHTS = ("network.safetensors", "network.json")
ARTIFACTS: dict[str, Callable[[], object]] = {
    "images.parquet, a bit": lambda: flip(DATASET / "images.parquet"),
    "images.parquet, cut off": lambda: cut(DATASET / "images.parquet"),
    "images.parquet, of other data": lambda: copy(OTHER_DATA / "images.parquet", DATASET / "images.parquet"),
    "images.parquet, in another order": lambda: reverse(DATASET / "images.parquet"),
    "rows.parquet, a bit": lambda: flip(DATASET / "rows.parquet"),
    "rows.parquet, cut off": lambda: cut(DATASET / "rows.parquet"),
    "rows.parquet, of other data": lambda: copy(OTHER_DATA / "rows.parquet", DATASET / "rows.parquet"),
    "rows.parquet, a group": lambda: edit_table(DATASET / "rows.parquet", "group"),
    "rows.parquet, a split": lambda: edit_table(DATASET / "rows.parquet", "split"),
    "protocol.json, a bit": lambda: flip(DATASET / "protocol.json"),
    "protocol.json, cut off": lambda: cut(DATASET / "protocol.json"),
    "protocol.json, of other data": lambda: copy(OTHER_DATA / "protocol.json", DATASET / "protocol.json"),
    "protocol.json, a row of a pair": lambda: edit(DATASET / "protocol.json", "pairs.val.a.0"),
    "features.npy, a bit": lambda: flip(FEATURES / "both/features.npy"),
    "features.npy, cut off": lambda: cut(FEATURES / "both/features.npy"),
    "features.npy, of another set": lambda: exchange(FEATURES / "mine/features.npy", FEATURES / "small/features.npy"),
    "features.json, a hash": lambda: edit(FEATURES / "both/features.json", "images_hash"),
    "features, folders exchanged": lambda: exchange(FEATURES / "mine", FEATURES / "small"),
    "network.safetensors, a bit": lambda: flip(NETWORK / "network.safetensors"),
    "network.safetensors, of another": lambda: both(NETWORK, OTHER_DATA / "networks/mine", WEIGHTS[0]),
    "network.json, a number": lambda: edit(NETWORK / "network.json", "width"),
    "network, both files of another": lambda: both(NETWORK, OTHER_DATA / "networks/mine", *WEIGHTS),
    "head.safetensors, a bit": lambda: flip(HEAD / "head.safetensors"),
    "head.safetensors, cut off": lambda: cut(HEAD / "head.safetensors"),
    "head.safetensors, of another": lambda: copy(OTHER_HEAD / "head.safetensors", HEAD / "head.safetensors"),
    "head.json, a threshold": lambda: edit(HEAD / "head.json", "thresholds.0"),
    "head, both files of other data": lambda: both(HEAD, OTHER_DATA / "head", "head.safetensors", "head.json"),
}
CACHES: dict[str, Callable[[], object]] = {
    "shards of features, a bit": lambda: flip_cached("features/*/*.safetensors"),
    "decoded images, a bit": lambda: flip_cached("pixels/*"),
    "checkpoints, a bit": lambda: flip_cached("finetune/*"),
    "embeddings, a bit": lambda: flip_cached("embeddings/*.npy"),
}


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_params(folder, **changes)
    for seed in range(2):
        Path(f"{seed}.png").write_bytes(encode(seed))
    for stage, name in STAGES.items():
        done = run(" ".join([stage, *name]))
        assert done.code == 0, done.error


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict[str, Result]]:
    """A folder in which all stages have run, beside two others; and what each command comes to there."""
    top = tmp_path_factory.mktemp("projects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_CACHE", "cache")
        make(top / "other_data", patch, data__limit=300, seed=1)
        make(top / "mine", patch)
        shutil.copytree(top / "mine", top / "other_head")
        patch.chdir(top / "other_head")
        set_params(top / "other_head", head__loss="triplet")
        assert run("train").code == 0
        patch.chdir(top / "mine")
        wanted = {command: run(command) for command in COMMANDS}
        assert all(result.code == 0 for result in wanted.values())
    return top / "mine", wanted


@pytest.fixture
def here(made, monkeypatch) -> dict[str, Result]:
    """In a copy of that folder: what each command comes to."""
    source, wanted = made
    folder = source.with_name("tampered")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOOKALIKE_CACHE", "cache")
    return wanted


def refused_or_equal(commands: dict[str, Result]) -> list[str]:
    """The errors of `commands`; whatever ends without one ends as before."""
    errors = []
    for command, wanted in commands.items():
        found = run(command)
        if found.code:
            last = found.error.strip().splitlines()[-1]
            assert found.code == 2 and last.startswith("error: ") and "Traceback" not in found.error, found.error
            assert re.search(r"`dvc repro|run dvc repro", last), f"{command}: {last}"
            errors.append(f"{command}: {last}")
        else:
            assert (found.out, found.files) == (wanted.out, wanted.files), command
    return errors


@pytest.mark.parametrize("change", ARTIFACTS)
def test_a_changed_artifact_is_one_line_or_made_anew(here, change):
    ARTIFACTS[change]()
    errors = refused_or_equal(here)
    print(f"\n{change}:", *errors, sep="\n  ")
    assert errors


@pytest.mark.parametrize("change", CACHES)
def test_a_changed_cache_is_made_anew(here, change):
    CACHES[change]()
    assert refused_or_equal(here) == []


def test_a_valid_head_of_other_settings_is_not_scored_as_this_one(here):
    both(HEAD, OTHER_HEAD, "head.safetensors", "head.json")
    (error,) = refused_or_equal({"evaluate": here["evaluate"]})
    assert "another head.loss than params.yaml gives" in error


def test_how_many_there_are():
    assert len(ARTIFACTS) + len(CACHES) == 31 and os.environ.get("LOOKALIKE_CACHE") != "cache"

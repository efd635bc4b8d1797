"""The key of the scratch cache: every source file that decides a number is in it, and no other."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.extraction import CODE, MORE_CODE, code_sha256
from pipeline.fingerprint import TOP


def copied_sources(top: Path) -> Path:
    for name in (*CODE, *(f"features/backbones/{library}.py" for library in ("timm", "torchvision", "open_clip"))):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, top / name)
    return top


@pytest.mark.parametrize("name", [*CODE, "features/backbones/timm.py"])
def test_an_edit_of_any_module_that_decides_the_numbers_changes_the_key(tmp_path, name):
    top = copied_sources(tmp_path)
    assert code_sha256("timm", top=top) == code_sha256("timm")
    with (top / name).open("a") as file:
        file.write("#")
    assert code_sha256("timm", top=top) != code_sha256("timm")


def test_an_edit_for_one_library_leaves_the_shards_of_the_others(tmp_path):
    top = copied_sources(tmp_path)
    (top / "features/backbones/timm.py").write_text("")
    assert code_sha256("torchvision", top=top) == code_sha256("torchvision")
    assert code_sha256("torchvision") != code_sha256("open_clip")


def test_every_module_of_extract_is_in_the_key_or_decides_no_number():
    """A module that extract comes to depend on must be put on one of the two sides."""
    files = {
        "data/cores.py",
        "data/files/atomic.py",
        "data/tables/rows.py",
        "features/backbones/hub.py",
        "features/extraction/shards.py",
        "features/storage/features_files.py",
    }
    edges = {
        "features/extraction/ray_engine.py",
        "pipeline/fingerprint.py",
        "pipeline/extraction.py",
        "pipeline/stages/extract.py",
    }
    values = {"features/settings.py"}  # the key holds what it says: the whole entry of the backbone, and the dtype
    libraries = {f"features/backbones/{library}.py" for library in ("timm", "torchvision", "open_clip", "local")}
    more = set(MORE_CODE["lookalike"])
    deps = YAML(typ="safe").load((TOP / "dvc.yaml").read_text())["stages"]["extract"]["deps"]
    assert {dep for dep in deps if dep.endswith(".py")} == {*CODE, *libraries, *more, *files, *edges, *values}

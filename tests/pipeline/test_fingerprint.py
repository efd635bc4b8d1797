"""Results of older code are not found: an edit of any module that a result is made with changes its fingerprint."""

import shutil
from pathlib import Path

import pytest

from pipeline import extraction, finetuning
from pipeline.fingerprint import NO_EFFECT, PACKAGES, TOP, fingerprint, import_closure
from pipeline.inference import search_index
from pipeline.stages import finetune

ROOTS = {
    "features": (extraction.FORWARD, *extraction.LOADERS.values()),
    "checkpoints": (finetune.THIS,),
    "pixels": (finetuning.PIXELS,),
    "search": (search_index.THIS,),
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("copied")
    for name in PACKAGES:
        shutil.copytree(TOP / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    return top


def edited(path: Path) -> str:
    text = path.read_text()
    path.write_text(f"{text}EDITED = True\n")
    return text


@pytest.mark.parametrize("cache", ROOTS)
def test_an_edit_of_any_module_in_the_closure_changes_the_fingerprint(copied, cache):
    before, modules = fingerprint(*ROOTS[cache], top=copied), import_closure(*ROOTS[cache], top=copied)
    assert before == fingerprint(*ROOTS[cache])
    for module in modules:
        text = edited(copied / module)
        assert fingerprint(*ROOTS[cache], top=copied) != before, module
        (copied / module).write_text(text)
    assert fingerprint(*ROOTS[cache], top=copied) == before


@pytest.mark.parametrize(
    ("cache", "module"),
    [
        ("checkpoints", "heads/settings.py"),  # default margins
        ("checkpoints", "features/backbones/timm.py"),  # imported inside a function
        ("search", "heads/store.py"),
        ("pixels", "data/images/decode.py"),
    ],
)
def test_what_decides_a_result_is_in_its_closure(cache, module):
    assert module in import_closure(*ROOTS[cache])


def test_an_edit_for_one_library_leaves_the_features_of_the_others(copied):
    def keys() -> dict[str, str]:
        return {name: extraction.extraction_fingerprint(name, top=copied) for name in extraction.LOADERS}

    before, path = keys(), copied / "features/backbones/timm.py"
    text = edited(path)
    changed = {name for name, key in keys().items() if key != before[name]}
    path.write_text(text)
    assert changed == {"timm", "local"}


FORMULA = """
def halved(values, *, by=2):
    return [value / by for value in values]
"""


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            '"""What it does."""\n' + FORMULA.replace("    return", '    """Each half."""\n    # exactly\n    return'),
            True,
        ),
        (FORMULA.replace("(values, *, by=2)", "(\n    values,\n    *,\n    by=2,\n)"), True),
        (FORMULA.replace("by=2", "by=3"), False),
        (FORMULA.replace("by=2", "by=2.0"), False),
        (FORMULA.replace("/ by", "* by"), False),
        (FORMULA.replace("by=2", "by: int = 2"), False),
        (FORMULA + "halved.__name__ = 'half'\n", False),
    ],
)
def test_what_code_is_counts_and_not_how_it_is_written(tmp_path, text, same):
    keys = []
    for content in (FORMULA, text):
        (tmp_path / "a.py").write_text(content)
        keys.append(fingerprint("a.py", top=tmp_path))
    assert (keys[0] == keys[1]) == same


def test_what_has_no_effect_is_neither_hashed_nor_followed(copied):
    assert all((TOP / name).is_file() for name in NO_EFFECT)
    assert not NO_EFFECT & import_closure(*ROOTS["checkpoints"])


def test_imports_of_every_form_are_followed(tmp_path):
    for package in ("data", "heads"):
        (tmp_path / package).mkdir()
    (tmp_path / "data/a.py").write_text(
        "import numpy, heads.b\ndef f():\n    from data import c, d\n    from heads import NAME, e\n"
        "REGISTRY = {'g': 'data.g', 'h': 'data.h', 'i': 'data.nothing'}\n"
    )
    names = {"data/c.py", "data/d.py", "data/g.py", "data/h.py", "heads/__init__.py", "heads/b.py", "heads/e.py"}
    for name in {"data/__init__.py", *names}:
        (tmp_path / name).write_text("")
    found = import_closure("data/a.py", top=tmp_path)
    assert found == {"data/a.py", *names}


def test_a_text_that_begins_like_a_module_is_none(tmp_path):
    """A message, say, longer than names of files may be."""
    (tmp_path / "data").mkdir()
    (tmp_path / "a.py").write_text(f"MESSAGE = 'data.path: {'long ' * 60}'\n")
    assert import_closure("a.py", top=tmp_path) == {"a.py"}

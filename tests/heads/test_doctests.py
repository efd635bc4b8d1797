"""Every example in a docstring of `heads` runs."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import heads

ROOT = Path(heads.__file__).parent
MODULES = [
    ".".join(("heads", *path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = import_module(name.removesuffix(".__init__"))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed


def test_some_module_has_an_example():
    assert "heads.estimator" in MODULES

from importlib.metadata import version
from typing import get_args

import pytest

from features.backbones.libraries import MODULES, Library, import_library

LIBRARIES: tuple[Library, ...] = get_args(Library)


def test_every_library_has_a_module():
    assert list(LIBRARIES) == list(MODULES)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_module_loads_networks_and_names_packages_that_are_installed(library):
    module = import_library(library)
    assert callable(module.load) and all(version(name) for name in module.DISTRIBUTIONS)

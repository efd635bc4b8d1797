"""The libraries that build networks. To add one: a module beside this file, and its two lines here. No heavy import."""

from importlib import import_module
from types import ModuleType
from typing import Literal

Library = Literal["timm", "torchvision", "open_clip", "local"]  # `library` of an entry of `backbones`

# Each module has `load(entry, where) -> LoadedBackbone` and `DISTRIBUTIONS`, the packages whose version can change the
# features, beside torch, torchvision and pillow. Import closures (pipeline/fingerprint.py) follow these names.
MODULES: dict[Library, str] = {
    "timm": "features.backbones.timm",
    "torchvision": "features.backbones.torchvision",
    "open_clip": "features.backbones.open_clip",
    "local": "features.backbones.local",
}


def import_library(library: Library) -> ModuleType:
    """The module of `library`, imported when it is used: networks take seconds to import."""
    return import_module(MODULES[library])

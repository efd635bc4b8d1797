"""Packages that only some commands need, named when they are missing."""

from importlib.util import find_spec

from pipeline.errors import ParamError


def need(verb: str, *packages: str) -> None:
    """
    Raises:
        ParamError: one of `packages` (modules of the same name) is not installed; says how to get it.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ParamError(f"{verb} needs {', '.join(missing)}: pip install {' '.join(packages)}")

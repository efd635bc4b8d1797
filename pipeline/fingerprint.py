"""The version of a piece of code: a hash over every file of ours that it imports.

Scratch caches keep results under it, so that results of older code are not found. A list of the files that matter
would be incomplete, unnoticed, when a module is forgotten; so the files that do not matter are listed, and one missing
from that list only costs time. Syntax trees are hashed: comments, docstrings and formatting affect no result.
"""

import ast
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
PACKAGES = ("data", "features", "heads", "pipeline")
MODULE = re.compile(r"\w+(\.\w+)+")
# Modules that affect no result. They are neither hashed nor followed.
NO_EFFECT = frozenset(
    {
        "data/errors.py",  # messages
        "features/errors.py",
        "heads/errors.py",
        "pipeline/errors.py",
        "pipeline/progress.py",
        "pipeline/stage_inputs.py",  # a check
        "pipeline/head_data.py",  # the same
        "data/files/atomic.py",  # writes a file whole or not at all; its bytes come from the caller
        "data/files/sealed_files.py",  # the same, with a checksum
        "features/storage/features_files.py",  # copies what shards hold
        "data/files/cache.py",  # where files lie
        "pipeline/paths.py",
        "data/cores.py",  # how many processes work
        "pipeline/devices.py",  # the device is part of each key
        "pipeline/params.py",  # settings are hashed where they are used
        "pipeline/fingerprint.py",
    }
)


def fingerprint(*modules: str, top: Path = TOP, without: Iterable[str] = ()) -> str:
    """sha256 over the names and syntax trees of `modules` and of all that they import, see `import_closure`."""
    digest = hashlib.sha256()
    for name in sorted(import_closure(*modules, top=top, without=without)):
        digest.update(hashlib.sha256(name.encode() + b"\0" + _tree_sha256((top / name).read_bytes())).digest())
    return digest.hexdigest()


def import_closure(*modules: str, top: Path = TOP, without: Iterable[str] = ()) -> set[str]:
    """`modules` (paths below `top`) and the files of ours that they import, directly or not, also inside functions.

    Args:
        without: files that do not count, beside `NO_EFFECT`; what only they import does not count either.
    """
    skipped = NO_EFFECT.union(without)
    closure: set[str] = set()
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        closure.add(module)
        waiting |= imported_files(module, top=top) - closure - skipped
    return closure


def imported_files(module: str, *, top: Path = TOP) -> set[str]:
    """Files of ours that `module` imports, anywhere in the file: by a statement, or by a module's name in a string, as
    in a registry whose modules are imported when they are used.

    A package's `__init__.py` counts where a name is taken from it, not where it is only on the way to a module.
    """
    found = set()
    for package, names in _imports((top / module).read_bytes()):
        files = [_file(f"{package}.{name}", top) for name in names]
        found.update(files if files and all(files) else [*files, _file(package, top)])
    return found - {None}


@cache
def _tree_sha256(source: bytes) -> bytes:
    """Equal for sources that differ in comments, docstrings and formatting, also under another version of Python."""
    return hashlib.sha256(repr(_tree(ast.parse(source))).encode()).digest()


def _tree(node: Any) -> Any:
    """A syntax tree as tuples and lists, without positions, docstrings and empty fields."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return (type(node).__name__, *((name, _tree(value)) for name, value in fields))
    if isinstance(node, list):
        return [_tree(each) for each in node if not _is_docstring(each)]
    return node


def _is_docstring(node: Any) -> bool:
    """Whether a statement is a string alone, which does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _imports(source: bytes) -> list[tuple[str, list[str]]]:
    """(module, names taken from it) of each import of ours; `import a.b` and the string "a.b" take no names."""
    found: list[tuple[str, list[str]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            found.append((node.value, []))
    return [(module, names) for module, names in found if module.partition(".")[0] in PACKAGES]


def _file(module: str, top: Path) -> str | None:
    path = module.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if (top / file).is_file()), None)

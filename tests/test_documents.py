"""docs/reliability.md names a test for each case; the names are those of today."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs" / "reliability.md").read_text()


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_test_that_the_document_names_exists():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", DOCUMENT)
    assert named
    missing = [f"{file}::{name}" for file, name in named if not (TESTS / file).is_file() or name not in functions(file)]
    assert not missing, f"docs/reliability.md names tests that are not there: {missing}"


def test_each_case_has_a_test():
    tables = DOCUMENT.partition("## Measured")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| case |")]
    cases = [row for row in rows if row.count(" | ") == 2]
    assert len(cases) > 40
    assert not [row for row in cases if "::test_" not in row]

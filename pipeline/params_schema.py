"""A JSON schema of params.yaml, by which editors complete and check it.

    python -m pipeline.params_schema     # writes pipeline/params.schema.json, named in the first line of params.yaml

The sections' settings give types, limits and defaults; the comments beside their fields are the descriptions.
"""

import ast
import inspect
import io
import json
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data.catalogue import CATALOGUE
from data.files.atomic import write_bytes
from heads.settings import LOSSES, NEGATIVES, OWN_FUNCTION
from pipeline.fingerprint import PACKAGES
from pipeline.params import Params

FILE = Path(__file__).with_name("params.schema.json")
OF_LIBRARIES = {"type": "string", "enum": list(LOSSES)}
# model.field -> what the settings check by a function of their own.
CHOICES: dict[str, dict[str, Any]] = {
    "DataSettings.name": {"enum": list(CATALOGUE)},
    "HeadSettings.loss": {"anyOf": [OF_LIBRARIES, {"type": "string", "pattern": f"^{OWN_FUNCTION}$"}]},
    "Finetune.loss": OF_LIBRARIES,
} | {
    f"{model}.negatives": {"anyOf": [{"enum": list(NEGATIVES)}, {"pattern": r"^(random|offline):[1-9]\d{0,3}$"}]}
    for model in ("HeadSettings", "Finetune")
}


def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of params.yaml."""
    found = Params.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for section in found["properties"].values():
        if "patternProperties" in section:  # named entries: no other names
            section["additionalProperties"] = False
    models = [model for model in _models(BaseModel) if model.__module__.partition(".")[0] in PACKAGES]
    for model in models:
        comments = field_comments(model) if model.__name__ in found["$defs"] else {}
        for name, about in found["$defs"].get(model.__name__, {}).get("properties", {}).items():
            about.pop("title", None)  # the key again
            about.pop("examples", None)
            if name in comments:
                about["description"] = comments[name]
            about |= CHOICES.get(f"{model.__name__}.{name}", {})
    return found


def schema_text() -> str:
    return json.dumps(schema(), indent=1) + "\n"


def field_comments(model: type[BaseModel]) -> dict[str, str]:
    """field -> the comment beside it, or the whole lines of comment above it; also of inherited fields."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            found |= _own_comments(inspect.getsource(kind))
    return found


def _own_comments(source: str) -> dict[str, str]:
    comments: dict[int, str] = {}  # by line
    alone = set()  # lines that are nothing but a comment
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("# ")
            if token.line.lstrip().startswith("#"):
                alone.add(token.start[0])
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            beside = [comments[line] for line in range(node.lineno, (node.end_lineno or 0) + 1) if line in comments]
            above: list[str] = []
            while node.lineno - 1 - len(above) in alone:
                above.insert(0, comments[node.lineno - 1 - len(above)])
            if beside or above:
                found[node.target.id] = " ".join(beside or above)
    return found


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _models(kind)


if __name__ == "__main__":
    write_bytes(FILE, schema_text().encode())
    print(f"wrote {FILE.name}")

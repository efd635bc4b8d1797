"""The templates of the report, of search results and of charts."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from data.datasets.source import shown


def render(template: str, **values: Any) -> str:
    """Fill `template`, a file of this folder. In HTML and SVG every value is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is not None and not name.endswith(".md"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = lambda text: shown(text).replace("|", "\\|")
    return environment

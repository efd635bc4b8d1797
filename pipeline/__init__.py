"""The edge: command line, params, stages, progress, errors. Only here: params.yaml, argv, printing.

From Python: `from pipeline import load_head`.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from pipeline.inference.predictor import load_head as load_head


def __getattr__(name: str) -> Any:
    """`load_head`, imported when it is asked for: stages and `--help` do without networks."""
    if name == "load_head":
        from pipeline.inference.predictor import load_head

        return load_head
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")

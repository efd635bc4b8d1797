"""From features to similarity: models, losses, training and scores.

    from heads import evaluate, train_head

The names below are imported when they are used: `import heads` alone loads nothing heavy.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {"HeadTransformer": "heads.estimator", "evaluate": "heads.scoring", "train_head": "heads.training.arrays"}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'heads' has no attribute '{name}'; it exports {', '.join(_EXPORTS)}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_EXPORTS]

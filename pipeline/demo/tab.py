"""What a tab hands to the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradio.components import Component


@dataclass(frozen=True)
class Tab:
    """`refresh(name of the head, *inputs)` gives new values of `outputs`: when the page opens, and for another head.

    Inputs come as the browser sent them (`preprocess=False`).
    """

    inputs: Sequence[Component]
    outputs: Sequence[Component]
    refresh: Callable

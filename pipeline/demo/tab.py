"""What a tab hands to the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradio.components import Component


@dataclass(frozen=True)
class Tab:
    """`refill(head's name, *reads)` gives new values of `shows`, when the page is opened or another head is chosen.

    What it reads comes as the browser sent it (`preprocess=False`).
    """

    reads: Sequence[Component]
    shows: Sequence[Component]
    refill: Callable

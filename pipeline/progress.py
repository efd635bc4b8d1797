"""Progress of long work: a bar when a person looks on, nothing when piped (the stage prints its own line)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(total: int, what: str, *, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """`with progress(n, "prepare emoji") as advance: advance(1)`."""
    with tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=total >= 10_000, disable=None, leave=False) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance


@contextmanager
def training_progress(total: int, what: str) -> Iterator[Callable[[int, float], None]]:
    """The same for steps of a training: `advance(steps, loss)`."""
    with tqdm(total=total, desc=what, unit=" steps", smoothing=0.05, disable=None, leave=False) as bar:

        def advance(steps: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update(steps)

        yield advance

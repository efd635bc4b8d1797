"""Progress of long work: a bar when a person looks on, nothing when piped (the stage prints its own line)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(total: int, what: str, *, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """`with progress(n, "prepare emoji") as advance: advance(1)`."""
    with tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=total >= 10_000, disable=None, leave=False) as bar:
        yield bar.update

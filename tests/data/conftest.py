import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def _peak() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def peak_memory() -> Callable[[], object]:
    """`with peak_memory() as used:` ... `used()`: the most bytes that Python and numpy held at once in the block."""
    return _peak

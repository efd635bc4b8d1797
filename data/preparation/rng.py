"""Chance, repeatable: every list has its own generator, so that drawing more of one never changes another."""

from zlib import crc32

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """The generator of `seed` for one purpose, e.g. `generator(0, "splits")`."""
    return np.random.default_rng([seed, crc32(name.encode())])

"""The code that made something, as one number: what older code made is not found under it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

TOP = Path(__file__).parents[1]


def sources_sha256(names: Iterable[str], *, top: Path = TOP) -> str:
    """sha256 over the contents of the source files `names`, in their order."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(hashlib.sha256((top / name).read_bytes()).digest())
    return digest.hexdigest()

"""JSON files with a checksum: the key `sha256` holds that of all other keys."""

import json
from collections.abc import Mapping
from typing import Any

from data.files.atomic import sha256_bytes

KEY = "sha256"


def seal(about: Mapping[str, Any]) -> bytes:
    """`about` as JSON, with the sha256 of its keys."""
    return (json.dumps({**about, KEY: _digest(about)}, indent=2, sort_keys=True) + "\n").encode()


def unseal(content: bytes) -> dict[str, Any]:
    """The keys that `seal` was given.

    Raises:
        ValueError: no such file, one of another version without a sha256, or a bit has changed.
    """
    try:
        about = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(about, dict) or KEY not in about:
        raise ValueError("no sha256 in it")
    if about.pop(KEY) != _digest(about):
        raise ValueError("its sha256 is another")
    return about


def _digest(about: Mapping[str, Any]) -> str:
    return sha256_bytes(json.dumps(about, sort_keys=True).encode())

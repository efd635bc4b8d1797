"""Where downloads and scratch files are kept."""

import os
from pathlib import Path

from data.errors import DataError


def cache_root() -> Path:
    """Absolute path of `$LOOKALIKE_CACHE`, or of `~/.cache/lookalike`; the folder need not exist yet.

    It lies outside the repository, so that queued experiments find it and DVC does not delete it before a stage runs.

    Raises:
        DataError: the user has no home folder (a container with an unknown user id) and `LOOKALIKE_CACHE` is not set.
    """
    named = os.environ.get("LOOKALIKE_CACHE") or "~/.cache/lookalike"
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError:
        raise DataError(f"{named}: no such home folder; set LOOKALIKE_CACHE to a folder for downloads") from None

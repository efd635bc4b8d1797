"""The scratch cache is a convenience: where it cannot be written, the work goes on and nothing is kept."""

import sys
from collections.abc import Callable

from data.files.cache import cache_root

_warned: set[str] = set()


def keep(write: Callable[[], object]) -> bool:
    """Whether `write()` could write; where it could not (no space, read-only), one line on stderr says so, once."""
    try:
        write()
    except OSError as error:
        reason = error.strerror or str(error)
        if reason not in _warned:
            _warned.add(reason)
            print(
                f"warning: {cache_root()} cannot be written ({reason}), so nothing is kept for the next time; "
                "free some space, or set LOOKALIKE_CACHE to another folder",
                file=sys.stderr,
            )
        return False
    return True

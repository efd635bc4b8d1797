"""Errors of the user, as one line each."""

import errno

from data.errors import DataError
from features.errors import FeatureError
from heads.errors import HeadError


class ParamError(ValueError):
    """A value of params.yaml or of the command line that cannot be used."""


BAD_INPUT = (ParamError, DataError, FeatureError, HeadError)

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk, or set LOOKALIKE_CACHE to a folder on another one",
    errno.EDQUOT: "your quota is used up: free some space, or set LOOKALIKE_CACHE to a folder on another disk",
    errno.EFBIG: "the system limits the size of a file (ulimit -f): raise it, or set data.limit",
    errno.EROFS: "write somewhere else: run in another folder, or set LOOKALIKE_CACHE",
    errno.EACCES: "make it yours to read and write, or run in another folder",
    errno.EMFILE: "too many files are open at once: raise the limit (ulimit -n), or set features.workers lower",
}


def machine_error(error: OSError) -> str:
    """One line: the system's message, the file, and what to do."""
    text = " ".join(str(error).split())
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{text}; {remedy}" if remedy else text

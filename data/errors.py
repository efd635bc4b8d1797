from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 40  # names, at most, in a message
PREPARE_AGAIN = "run `dvc repro prepare`; if that brings it back, `python -m pipeline check` first"  # where damaged


class DataError(ValueError):
    """Bad input to `data`: one line for a person, saying what, where and what to do."""


class Unusable(ValueError):
    """An image that cannot be used. `reason` is one word (or the system's own words), `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Unusable"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `; did you mean 'triplet'?`, or `; known: ...`, if these are few."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known and len(known) <= LISTED else ""

from collections.abc import Collection
from difflib import get_close_matches


class HeadError(ValueError):
    """Bad input to `heads`: one line for a person, saying what, where and what to do."""


def nearest_or_known(name: str, known: Collection[str], *, listed: Collection[str] | None = None) -> str:
    """The end of an error about an unknown `name`: the nearest of `known`, or all of `listed` (by default `known`)."""
    close = get_close_matches(name, known, n=1)
    names = known if listed is None else listed
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"

"""What a person did wrong, said in one line."""

from collections.abc import Iterable
from difflib import get_close_matches

from data.errors import DataError
from features.errors import FeatureError
from heads.errors import HeadError


class ParamError(ValueError):
    """params.yaml or the command line asks for something impossible."""


BAD_INPUT = (ParamError, DataError, FeatureError, HeadError)


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'triplet'?` or, with nothing near, the list of what is known."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"

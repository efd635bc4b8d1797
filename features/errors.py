from collections.abc import Iterable
from difflib import get_close_matches


class FeatureError(ValueError):
    """Bad input to `features`: one line for a person, saying what, where and what to do."""


def one_line(error: BaseException, limit: int = 160) -> str:
    """What a library said, without its line breaks and not at length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'resnet18'?` or nothing: a library's list of models is too long to print."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""

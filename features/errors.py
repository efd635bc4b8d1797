class FeatureError(ValueError):
    """Bad input to `features`: one line for a person, saying what, where and what to do."""


def one_line(error: BaseException, limit: int = 160) -> str:
    """The message of a library's error without line breaks, cut to `limit` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."

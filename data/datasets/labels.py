"""Labels as tables hold them (numbers, text, numbers with names) to names of groups; what is no label is None."""

import math
import re
from collections.abc import Sequence
from typing import Any

from data.errors import DataError

_INTEGER = re.compile(r"-?\d+")
_MISSING = ("", "nan", "null", "<na>")


def read_labels(values: Sequence[Any], where: str, *, names: Sequence[str] = ()) -> tuple[list[str | None], str]:
    """The group of each value, None where there is no label, and their kind: `numbers` or `text`.

    `names`: what the numbers stand for; then -1 is no label. Without them, -1 is none if there are labels above 1.

    Raises:
        DataError: a number without a name, a fraction, or a list.
    """
    plain = [_plain(value, where) for value in values]
    numbers = {value for value in plain if isinstance(value, int)}
    texts = {value for value in plain if isinstance(value, str)}
    if numbers and texts:
        raise DataError(
            f"{where}: labels are text ({min(texts)!r}) and numbers ({min(numbers)}); write them all as one"
        )
    if numbers and names:
        if wrong := sorted(number for number in numbers if not -1 <= number < len(names)):
            raise DataError(f"{where}: label {wrong[0]}, and there are names for 0 to {len(names) - 1} only")
        return [names[value] if isinstance(value, int) and value != -1 else None for value in plain], "text"
    written = {str(number) for number in numbers} | texts
    has_no_label = all(_INTEGER.fullmatch(text) for text in written) and written - {"-1", "0", "1"}
    no_label = (None, -1, "-1") if has_no_label else (None,)
    groups = [None if value in no_label else str(value) for value in plain]
    return groups, "numbers" if numbers else "text"


def unlabelled_note(count: int, where: str) -> str:
    return f"{count:,} images of {where} have no label (empty, NaN or -1): left out"


def _plain(value: Any, where: str) -> int | str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value)
        case int():
            return value
        case float():
            if math.isnan(value):
                return None
            if not value.is_integer():
                raise DataError(f"{where}: label {value} is a fraction; a group needs a name or a whole number")
            return int(value)
        case bytes():
            return _plain(value.decode("utf-8", "backslashreplace"), where)
        case str():
            text = value.strip()
            return None if text.casefold() in _MISSING else text
    raise DataError(
        f"{where}: labels are of the type {type(value).__name__}; a column with one label per image is needed"
    )

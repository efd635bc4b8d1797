"""Names that people read: Unicode's own for emoji, the name of the file for other images."""

import unicodedata
from pathlib import PurePosixPath

JOINER, AS_PICTURE, KEYCAP = "\u200d", "\ufe0f", "\u20e3"
FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # regional indicators A to Z
TAGS = range(0xE0020, 0xE0080)  # letters of the flags of regions
UNICODE_SETS = ("emoji",)  # data sets whose images are named by code points, in hexadecimal: 1f469-200d-1f680


def display_name(name: str, dataset: str) -> str:
    """What to show for the id or the group `name` of `dataset`. `emoji`, "twemoji/1f1f5-1f1f1" -> "flag PL"."""
    last = PurePosixPath(name).name or name
    if dataset not in UNICODE_SETS:
        return last
    try:
        return emoji_name("".join(chr(int(point, 16)) for point in last.split("-")))
    except (ValueError, OverflowError):
        return last


def emoji_name(text: str) -> str:
    """Unicode's names of the characters of one emoji, in lower case.

    Raises:
        ValueError: a character without a name, or a letter: no emoji.
    """
    if any(unicodedata.category(character).startswith("L") for character in text):
        raise ValueError(f"{text!r} is no emoji")
    parts, letters, tags = [], "", ""
    for character in text:
        if character in (JOINER, AS_PICTURE):
            continue
        code = ord(character)
        if code in FLAG_LETTERS:
            letters += chr(ord("A") + code - FLAG_LETTERS.start)
        elif code in TAGS:
            tags += chr(code - 0xE0000) if code < TAGS.stop - 1 else ""
        elif character == KEYCAP:
            parts = ["keycap", *parts]
        else:
            parts.append(_short(unicodedata.name(character).lower()))
    if letters:
        parts.append(f"flag {letters}" if len(letters) == 2 else f"letter {letters}")
    return ", ".join([*parts, tags] if tags else parts).replace("keycap, ", "keycap ")


def _short(name: str) -> str:
    name = name.replace("emoji modifier fitzpatrick type-", "skin tone ")
    return name.removesuffix(" symbol").removesuffix(" sign") or name

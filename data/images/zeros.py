"""Zeros at the end of compressed pixels: what a copy that was broken off leaves in a file of full size.

libwebp and libaom decode zeros without complaint, and a picture with a plain lower part may end in some of its own. So
other bytes are put in their place: from the row on that changes, a whole picture is plain.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from data.errors import Unusable

MIN_ZEROS = 64  # bytes
OTHER_BYTES = bytes((i * i * 31 + i * 87 + 101) % 251 for i in range(MIN_ZEROS))  # no pattern, and no 0xFF
_PLAIN = 8  # levels within a row that is of one colour, of 255
_REACH = 32  # rows below the first change that may still hold other things: blocks, and filters over their edges
_WEBP_PIXELS = (b"VP8 ", b"VP8L")
_ANIMATION_HEADER = 16  # bytes of a frame chunk before the chunks in it


def check_ending(content: bytes, image: Image.Image, decode: Callable[[bytes], Image.Image]) -> None:
    """`image`: the picture that `content`, a WebP or AVIF file, was decoded to by `decode`.

    Raises:
        Unusable: `truncated`: the compressed pixels end in zeros, which stand for more than a plain lower part.
    """
    start, stop = _webp_pixels(content) if content[:4] == b"RIFF" else (0, len(content))
    packed = content[start:stop]
    first = len(packed.rstrip(b"\0"))
    if len(packed) - first < MIN_ZEROS:
        return
    changed = content[: start + first] + OTHER_BYTES + content[start + first + MIN_ZEROS :]
    try:
        row = _first_difference(image, decode(changed)) + _REACH
    except Unusable:
        row = image.height - 1
    below = np.asarray(image.crop((0, min(row, image.height - 1), *image.size)).convert("RGBA"), np.int16)
    if np.ptp(below, axis=1).max() > _PLAIN:
        raise Unusable("truncated", f"its last {len(packed) - first} bytes are zeros")


def _first_difference(image: Image.Image, other: Image.Image) -> int:
    """The first row that differs; the number of rows where none does."""
    rows = max(1, (1 << 20) // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        differs = (np.asarray(image.crop(box)) != np.asarray(other.crop(box))).reshape(box[3] - top, -1).any(1)
        if differs.any():
            return top + int(differs.argmax())
    return image.height


def _webp_pixels(content: bytes) -> tuple[int, int]:
    """Where the compressed pixels of the first picture start and stop."""
    place = 12
    while place + 8 <= len(content):
        kind, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8
        if kind == b"ANMF":
            place += _ANIMATION_HEADER
        elif kind in _WEBP_PIXELS:
            return place, min(place + size, len(content))
        else:
            place += size + size % 2
    return 0, 0

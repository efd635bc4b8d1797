"""The orientation in EXIF data, and nothing else of them: thousands of tags may point to the same bytes."""

import struct

ORIENTATION = 0x0112
_SHORT = 3


def orientation(exif: bytes) -> int | None:
    """The value of the tag Orientation, 1 to 8 by the EXIF standard; None without one, or of broken EXIF."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for entry in range(count):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + 12 * entry)
            if (tag, kind, values) == (ORIENTATION, _SHORT, 1):
                return value
    except struct.error:
        pass
    return None

"""Formats that are told by their first bytes, and not read."""

from data.errors import Unusable

_RAW = "raw"
_RAW_DETAIL = "a camera raw file; develop it, and save it as JPEG, PNG or TIFF"
_NAMES = (  # (first byte, bytes, format)
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIU\0", _RAW),  # Panasonic
    (0, b"IIRO", _RAW),  # Olympus
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"\0MRM", _RAW),  # Minolta
    (0, b"FOVb", _RAW),  # Sigma
    (6, b"HEAPCCDR", _RAW),  # Canon
    (4, b"ftypcrx ", _RAW),  # Canon
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"jP  \r\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"<svg", "SVG"),
)


def foreign_format(content: bytes) -> Unusable | None:
    """The reason why a file of a known format is not read; None for any other file."""
    for place, name, kind in _NAMES:
        if content.startswith(name, place):
            if kind == _RAW:
                return Unusable(_RAW, _RAW_DETAIL)
            return Unusable("unsupported", f"{kind} files are not read; save it as JPEG or PNG")
    return None

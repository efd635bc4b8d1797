"""The chunks of a PNG file: what `decode` needs of them, and whether the pixel data are whole."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from data.errors import Unusable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_MAX_EXIF = 1 << 20
_GREY, _RGB = 0, 2  # colour types


@dataclass(frozen=True)
class Png:
    """A PNG file without the chunks that `decode` ignores, however large or broken they are."""

    content: bytes
    transparent: int | tuple[int, int, int] | None  # the colour that tRNS names, in steps of 0..255; 16 bits: as it is
    exif: bytes


def parse_png(content: bytes) -> Png:
    """Walk over the chunks of `content`; no pixel is decoded.

    Raises:
        Unusable: `truncated`: it ends early, or pixel data do not fit their checksum; `unsupported`: a transparent
            colour in 16-bit RGB, which Pillow compares in 8 bits.
    """
    kept: list[bytes | memoryview] = [SIGNATURE]
    depth = colour = 0
    transparent: int | tuple[int, int, int] | None = None
    last = exif = b""
    for kind, body, whole in _chunks(content):
        last = kind
        if kind == b"IDAT" and zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
            raise Unusable("truncated", "pixel data do not fit their checksum")
        if kind == b"IHDR" and len(body) == 13:
            depth, colour = body[8], body[9]
        if kind == b"tRNS" and colour == _GREY and len(body) >= 2:
            transparent = _in_eight_bits(int.from_bytes(body[:2], "big"), depth)
        if kind == b"tRNS" and colour == _RGB and len(body) >= 6:
            if depth == 16:
                raise Unusable("unsupported", "16-bit RGB with a transparent colour; save it with an alpha channel")
            red, green, blue = struct.unpack(">3H", body[:6])
            transparent = (red & 255, green & 255, blue & 255)
        if kind == b"eXIf" and len(body) <= _MAX_EXIF:
            exif = bytes(body)
        if kind in _KEPT:
            kept.append(whole)
    if last != b"IEND":
        kept.append(b"\0\0\0\0IEND\xae\x42\x60\x82")  # of a file that ends after its pixel data
    return Png(b"".join(kept), transparent, exif)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield (kind, body, whole chunk) up to IEND, or to the end of the file behind pixel data."""
    place, seen, view = len(SIGNATURE), False, memoryview(content)
    while place < len(content):
        kind = content[place + 4 : place + 8]
        stop = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if stop > len(content):
            if seen and kind != b"IDAT":
                return
            raise Unusable("truncated", "it ends inside a chunk")
        yield kind, view[place + 8 : stop - 4], view[place:stop]
        if kind == b"IEND":
            return
        seen |= kind == b"IDAT"
        place = stop


def _in_eight_bits(value: int, depth: int) -> int:
    """A grey value of `depth` bits as Pillow scales it to 0..255; one of 16 bits stays as it is."""
    return value if depth == 16 else (value & ((1 << depth) - 1)) * (255 // ((1 << depth) - 1)) if depth else value

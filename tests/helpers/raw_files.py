"""Image files made byte by byte, of kinds that Pillow does not write."""

import struct
import zlib
from collections.abc import Sequence


def tiff(
    width: int,
    height: int,
    bits: int,
    photometric: int,
    data: bytes,
    *,
    samples: int = 1,
    planar: int = 1,
    extra: Sequence[tuple[int, Sequence[int]]] = (),
) -> bytes:
    """An uncompressed little-endian TIFF, one strip per plane; `extra`: more tags of SHORT values."""
    planes = samples if planar == 2 else 1
    size, place = len(data) // planes, 8 + len(data)
    tags: dict[int, tuple[int, Sequence[int]]] = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [8 + plane * size for plane in range(planes)]),
        277: (3, [samples]),
        278: (3, [height]),
        279: (4, [size] * planes),
        284: (3, [planar]),
    } | {tag: (3, values) for tag, values in extra}
    entries, tail = struct.pack("<H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            where = place + 2 + 12 * len(tags) + 4 + len(tail)
            tail += packed
            packed = struct.pack("<I", where)
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", place) + data + entries + b"\0\0\0\0" + tail


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_rows(width: int, depth: int, colour: int, rows: Sequence[bytes], between: bytes = b"") -> bytes:
    """A PNG file of unfiltered `rows`; `between`: chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + between + pixels + chunk(b"IEND", b"")

"""Files that nobody should upload, made from a seed: cut off, damaged, lying, huge, or no pictures at all."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
HTML = b"<!doctype html><html><script>alert(1)</script><img src=x onerror=alert(1)></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
NAMES = (
    "a.jpg",
    "a.png",
    "../../a.jpg",
    "a\nb.png",
    "<img src=x onerror=alert(1)>.jpg",
    "\u202egpj.exe",
    "a" * 200 + ".jpg",
)


def hostile_files(count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` pairs of a name and its bytes, every kind in turn."""
    rng = np.random.default_rng(seed)
    kinds = (cut_off, damaged, noise, headed_noise, fixed, lying_size, strange, broken_exif, long_chunk)
    for number in range(count):
        name = NAMES[int(rng.integers(len(NAMES)))]
        yield name, kinds[number % len(kinds)](rng, number // len(kinds))


def picture(rng: np.random.Generator, kind: str, mode: str = "RGB") -> bytes:
    pixels = rng.integers(0, 256, (int(rng.integers(9, 60)), int(rng.integers(9, 60)), 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def cut_off(rng: np.random.Generator, turn: int) -> bytes:
    whole = picture(rng, FORMATS[turn % len(FORMATS)])
    return whole[: int(rng.integers(1, len(whole)))]


def damaged(rng: np.random.Generator, turn: int) -> bytes:
    content = bytearray(picture(rng, FORMATS[turn % len(FORMATS)]))
    for place in rng.integers(0, len(content), 12):
        content[place] = int(rng.integers(256))
    return bytes(content)


def noise(rng: np.random.Generator, turn: int) -> bytes:
    return rng.bytes(int(rng.integers(0, 5000)))


def headed_noise(rng: np.random.Generator, turn: int) -> bytes:
    head = (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBP",
        b"BM",
        b"II*\0",
        b"\0\0\0 ftypavif",
    )
    return head[turn % len(head)] + rng.bytes(int(rng.integers(0, 3000)))


def fixed(rng: np.random.Generator, turn: int) -> bytes:
    return (b"", HTML, SVG, b"%PDF-1.4\n", b"PK\x03\x04", b"\0" * 4096, b"%!PS-Adobe-3.0 EPSF-3.0\nquit")[turn % 7]


def lying_size(rng: np.random.Generator, turn: int) -> bytes:
    """A PNG whose header promises more pixels than it has, or than there may be."""
    width, height = ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (30_000, 9), (0, 0), (8000, 7000), (1, 1))[turn % 6]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(3000)))
    )


def strange(rng: np.random.Generator, turn: int) -> bytes:
    """Whole pictures that the policy rejects, or takes after all."""
    if turn % 4 == 0:  # 49 megapixels of nothing in 50 KB: within the limits, and must not bring the page down
        file = BytesIO()
        Image.new("1", (7000, 7000)).save(file, "PNG")
        return file.getvalue()
    mode, kind = ((None, None), ("F", "TIFF"), ("I", "TIFF"), ("P", "GIF"))[turn % 4]
    return picture(rng, kind, mode)


def broken_exif(rng: np.random.Generator, turn: int) -> bytes:
    content = picture(rng, "JPEG")
    junk = b"Exif\0\0" + rng.bytes(40)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(junk) + 2) + junk + content[2:]


def long_chunk(rng: np.random.Generator, turn: int) -> bytes:
    """A chunk that says it is 2 GB long, or a comment that inflates to 100 MB."""
    whole = picture(rng, "PNG")
    if turn % 2:
        return whole[:33] + struct.pack(">I", 2**31 - 1) + b"tEXt" + rng.bytes(50)
    return whole[:33] + chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(100_000_000), 9)) + whole[33:]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

"""Small files that ask for much memory or time: each is decoded, or rejected, in a process of its own with a limit.

`pytest -m slow -s tests/data/images/test_bombs.py` prints what each one took.
"""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pictures import encoded, png
from PIL import Image
from raw_files import chunk, tiff

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[3]
# 64 megapixels are 256 MB in Pillow: once as they were stored, once as RGB; libwebp holds two more.
MEGABYTES = 1200
SECONDS = 20  # of processor time: one of 64 megapixels takes 1 to 4
WIDE, HIGH = 8000, 7900  # 63 megapixels: what is allowed at most

MEASURE = """
import json, os, resource, sys
from data.errors import Unusable
from data.images.decode import decode
content = sys.stdin.buffer.read()
try:
    said = "%dx%d" % decode(content).size
except Unusable as why:
    said = str(why)
used = resource.getrusage(resource.RUSAGE_SELF)
peak = used.ru_maxrss  # of this process, and of the one that started it
if os.path.exists("/proc/self/status"):
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([said, peak >> 10, used.ru_utime + used.ru_stime]))
"""


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def plain_png(width: int, height: int, depth: int, colour: int, *, more: int = 0, between: bytes = b"") -> bytes:
    """All zeros, and `more` rows of them than the header says."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * channels * depth + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(row * 100) for _ in range((height + more) // 100)), packer.flush()])
    return png_header(width, height, depth, colour) + between + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def behind_header(added: bytes) -> bytes:
    whole = png(1)
    return whole[:33] + added + whole[33:]


def text_chunk(kind: bytes, head: bytes) -> bytes:
    return behind_header(chunk(kind, head + zlib.compress(bytes(200_000_000), 9)))


def plain(form: str, mode: str = "L", **options: object) -> bytes:
    return encoded(Image.new(mode, (WIDE, HIGH), 255), form, **options)


def many_scans(count: int, side: int) -> bytes:
    whole = encoded(Image.new("L", (side, side), 9), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + b"\xff\xd9"


def jpeg_of_size(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.new("RGB", (64, 64)), "JPEG"))
    place = content.index(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def gif_of_size(canvas: tuple[int, int], frame: tuple[int, int]) -> bytes:
    content = bytearray(encoded(Image.new("P", (16, 16)), "GIF"))
    content[6:10] = struct.pack("<HH", *canvas)
    place = content.index(b",\0\0\0\0")
    content[place + 5 : place + 9] = struct.pack("<HH", *frame)
    return bytes(content)


def many_values() -> bytes:
    """4,000 tags, each of a million values that are the same bytes."""
    entries = b"".join(struct.pack("<HHII", tag, 3, 1 << 20, 8) for tag in range(254, 4254))
    return b"II*\0" + struct.pack("<I", 8 + (2 << 20)) + bytes(2 << 20) + struct.pack("<H", 4000) + entries + bytes(4)


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG of 60,000 x 60,000 by its header": lambda: png_header(60_000, 60_000) + chunk(b"IDAT", b""),
    "PNG of 2,147,483,647 squared": lambda: png_header(2**31 - 1, 2**31 - 1) + chunk(b"IDAT", b""),
    "PNG of 30,000 x 9": lambda: png_header(30_000, 9) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))),
    "PNG of 63 megapixels, 1 bit": lambda: plain_png(WIDE, HIGH, 1, 0),
    "PNG of 63 megapixels, 16-bit grey": lambda: plain_png(WIDE, HIGH, 16, 0),
    "PNG of 63 megapixels, 16-bit grey, a transparent one": lambda: plain_png(
        WIDE, HIGH, 16, 0, between=chunk(b"tRNS", b"\0\0")
    ),
    "PNG of 63 megapixels, RGBA": lambda: plain_png(WIDE, HIGH, 8, 6),
    "PNG of 63 megapixels, 16-bit RGBA": lambda: plain_png(WIDE, HIGH, 16, 6),
    "PNG of 63 megapixels, grey with alpha": lambda: plain_png(WIDE, HIGH, 8, 4),
    "PNG of 63 megapixels, palette with alpha": lambda: plain_png(
        WIDE, HIGH, 8, 3, between=chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))
    ),
    "PNG with 500 MB of pixels behind its last": lambda: plain_png(5000, 300, 8, 2, more=33_000),
    "PNG with zTXt of 200 MB": lambda: text_chunk(b"zTXt", b"a\0\0"),
    "PNG with iTXt of 200 MB": lambda: text_chunk(b"iTXt", b"a\0\1\0\0\0"),
    "PNG with iCCP of 200 MB": lambda: text_chunk(b"iCCP", b"a\0\0"),
    "PNG with 200,000 chunks": lambda: behind_header(chunk(b"tEXt", b"a\0b") * 200_000),
    "JPEG of 65,000 x 65,000 by its header": lambda: jpeg_of_size(65_000, 65_000),
    "JPEG of 8,000 x 7,900 by its header": lambda: jpeg_of_size(8000, 7900),
    "JPEG of 100 scans, 4 megapixels": lambda: many_scans(100, 2000),
    "JPEG of 63 megapixels, progressive": lambda: plain("JPEG", progressive=True),
    "JPEG of 63 megapixels, one colour": lambda: plain("JPEG", "RGB", optimize=True),
    "GIF of 60,000 x 60,000 by its header": lambda: gif_of_size((60_000, 60_000), (16, 16)),
    "GIF whose frame is larger than its canvas": lambda: gif_of_size((16, 16), (60_000, 60_000)),
    "WebP of 63 megapixels, one colour": lambda: plain("WEBP", "RGB", lossless=True, quality=0, method=0),
    "TIFF of 65,000 x 65,000 by its header": lambda: tiff(65_000, 65_000, 8, 1, bytes(1000)),
    "TIFF with 4,000 tags of a million values": many_values,
    "TIFF of 63 megapixels, deflate": lambda: plain("TIFF", "L", compression="tiff_adobe_deflate"),
}


def measured(name: str) -> tuple[str, int, float]:
    content = BOMBS[name]()
    assert len(content) < 8 << 20
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=TOP, input=content, capture_output=True, check=True)
    return tuple(json.loads(done.stdout))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_more_than_a_large_picture(name):
    said, megabytes, seconds = measured(name)
    print(f"\n{name}: {said[:60]}; {megabytes} MB, {seconds:.1f} s", end="")
    assert megabytes < MEGABYTES
    assert seconds < SECONDS


def test_generators_make_what_they_say():
    assert len(BOMBS) == 26
    assert Image.open(BytesIO(BOMBS["PNG of 63 megapixels, 1 bit"]())).size == (WIDE, HIGH)

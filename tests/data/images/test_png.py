"""PNG files: transparent colours of any depth, chunks that are ignored, pixel data that are not whole."""

import struct
import zlib

import numpy as np
import pytest
from pictures import encoded, picture
from raw_files import chunk, png_of_rows

from data.errors import Unusable
from data.images.decode import decode

WHOLE = encoded(picture(size=(64, 48)))
WANTED = np.asarray(picture(size=(64, 48)))
HEAD = 33  # bytes up to the first chunk after IHDR


def reason(content: bytes) -> str:
    with pytest.raises(Unusable) as error:
        decode(content)
    return error.value.reason


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth_is_white(depth):
    top, key = 2**depth - 1, 2**depth // 4
    levels = [key if column < 8 else 0 if key else top for column in range(16)]
    if depth < 8:
        digits = "".join(f"{level:0{depth}b}" for level in levels)
        row = int(digits, 2).to_bytes(len(digits) // 8, "big")
    else:
        row = struct.pack(f">16{'B' if depth == 8 else 'H'}", *levels)
    got = np.asarray(decode(png_of_rows(16, depth, 0, [row] * 16, chunk(b"tRNS", struct.pack(">H", key)))))
    assert (got[:, :8] == 255).all()
    assert (got[:, 8:] == (0 if key else 255)).all()


def test_a_transparent_grey_is_no_other_grey():
    row = struct.pack(">16H", *[1000 if column < 8 else 1001 for column in range(16)])
    got = np.asarray(decode(png_of_rows(16, 16, 0, [row] * 16, chunk(b"tRNS", struct.pack(">H", 1000)))))
    assert (got[0, 0] == 255).all()
    assert (got[0, 15] == 4).all()


def test_a_transparent_rgb_is_white_in_8_bits_and_rejected_in_16():
    key = struct.pack(">3H", 10, 20, 30)
    row = bytes([10, 20, 30]) * 8 + bytes([10, 20, 31]) * 8
    got = np.asarray(decode(png_of_rows(16, 8, 2, [row] * 16, chunk(b"tRNS", key))))
    assert (got[:, :8] == 255).all()
    assert (got[:, 8:] == (10, 20, 31)).all()
    assert reason(png_of_rows(16, 16, 2, [bytes(96)] * 16, chunk(b"tRNS", key))) == "unsupported"


TEXT = bytes(place * 7 % 96 + 32 for place in range(1_200_000))
IGNORED = {
    "tEXt": chunk(b"tEXt", b"workflow\0" + TEXT),
    "zTXt": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(TEXT)),
    "iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(TEXT)),
    "many": b"".join(chunk(b"tEXt", b"part\0" + TEXT[:900_000]) for _ in range(80)),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + zlib.compress(TEXT)),
    "broken iCCP": chunk(b"iCCP", b"profile\0\0garbage"),
    "broken text": chunk(b"zTXt", b"a\0\0garbage")[:-4] + b"\0\0\0\0",
    "broken eXIf": chunk(b"eXIf", b"garbage"),
    "large eXIf": chunk(b"eXIf", bytes(2_000_000)),
    "short pHYs": chunk(b"pHYs", b"\0"),
    "acTL": chunk(b"acTL", b"\xff" * 8),
    "unknown": chunk(b"xxXx", TEXT),
}


@pytest.mark.parametrize("name", IGNORED)
def test_chunks_that_are_ignored_cannot_reject(name):
    np.testing.assert_array_equal(np.asarray(decode(WHOLE[:HEAD] + IGNORED[name] + WHOLE[HEAD:])), WANTED)


def test_a_comment_that_inflates_to_a_gigabyte_costs_nothing(peak_memory):
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(64 << 20), 9))
    with peak_memory() as used:
        decode(WHOLE[:HEAD] + bomb + WHOLE[HEAD:])
    assert used() < 8 << 20


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("ending", [b"", chunk(b"IEND", b""), bytes(2000)])
def test_a_part_of_a_file_is_truncated_whatever_is_put_behind_it(share, ending):
    assert reason(WHOLE[: int(len(WHOLE) * share)] + ending) == "truncated"


def test_one_changed_bit_of_the_pixels_is_found():
    content = bytearray(WHOLE)
    content[len(content) // 2] ^= 1
    assert reason(bytes(content)) == "truncated"


def test_without_its_last_chunk_the_picture_is_whole():
    np.testing.assert_array_equal(np.asarray(decode(WHOLE[:-12])), WANTED)


def test_sixteen_bits_are_scaled_in_blocks(peak_memory):
    """49 megapixels of nothing in 100 KB: 98 MB as 16 bits, and about 200 each as 8 bits and as RGB."""
    content = png_of_rows(7000, 16, 0, [bytes(14_000)] * 7000)
    with peak_memory() as used:
        decode(content)
    assert used() < 40 << 20  # of numpy and Python; Pillow's own pixels are not traced

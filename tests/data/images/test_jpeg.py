"""Damage of JPEG files that libjpeg only warns of, and files that ask for too much work."""

import struct
from io import BytesIO

import numpy as np
import pytest
from pictures import encoded, picture
from PIL import Image

from data.errors import Unusable
from data.images.decode import decode
from data.images.jpeg import MAX_SCANS, parse_jpeg

END = b"\xff\xd9"
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).resize((160, 120))
KINDS = {
    "baseline": (NOISE, {"quality": 90}),
    "progressive": (NOISE, {"progressive": True}),
    "optimized": (NOISE, {"optimize": True}),
    "restarts": (NOISE, {"restart_marker_rows": 1}),
    "grey": (NOISE.convert("L"), {}),
    "cmyk": (NOISE.convert("CMYK"), {}),
    "smooth": (picture(size=(160, 120)), {"subsampling": 0}),
}
WHOLE = {name: encoded(image, "JPEG", **options) for name, (image, options) in KINDS.items()}


def reason(content: bytes) -> str:
    with pytest.raises(Unusable) as error:
        decode(content)
    return error.value.reason


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.4, 0.5, 0.9])
@pytest.mark.parametrize("ending", ["nothing", "end marker", "zeros", "zeros and end marker"])
def test_a_part_of_a_file_is_truncated_whatever_is_put_behind_it(name, share, ending):
    whole = WHOLE[name]
    part = whole[: int(len(whole) * share)]
    zeros = bytes(len(whole) - len(part)) if "zeros" in ending else b""
    assert reason(part + zeros + (END if "marker" in ending else b"")) == "truncated"


@pytest.mark.parametrize("name", KINDS)
def test_eight_bytes_less_are_truncated(name):
    assert reason(WHOLE[name][:-10] + END) == "truncated"


def test_a_part_between_two_restart_markers_is_missing():
    whole = WHOLE["restarts"]
    first, second = (whole.index(bytes((0xFF, 0xD0 + number))) for number in (1, 3))
    assert reason(whole[:first] + whole[second:]) == "truncated"


def test_a_progressive_file_cut_between_two_scans_is_truncated():
    whole = WHOLE["progressive"]
    scans = [place for place in range(len(whole)) if whole[place : place + 2] == b"\xff\xda"]
    for place in scans[1:]:
        start = max(whole.rindex(b"\xff\xc4", 0, place), scans[0] + 1)  # the tables of that scan go too
        assert reason(whole[:start] + END) == "truncated"


@pytest.mark.parametrize("size", [(9, 9), (17, 33), (200, 131)])
@pytest.mark.parametrize("colour", ["white", "black", "red"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 1}, {"quality": 5}]
)
def test_plain_pictures_which_are_all_zero_bits_are_whole(size, colour, mode, options):
    image = Image.new("RGB", size, colour)
    image.paste(NOISE.resize((size[0], max(1, size[1] // 3))))
    content = encoded(image.convert(mode), "JPEG", **options)
    with Image.open(BytesIO(content)) as oracle:
        np.testing.assert_array_equal(np.asarray(decode(content)), np.asarray(oracle.convert("RGB")))
    np.testing.assert_array_equal(np.asarray(decode(content, verified=True)), np.asarray(decode(content)))


@pytest.mark.parametrize("behind", [bytes(5000), b"another file", WHOLE["grey"]])
def test_what_comes_after_the_end_marker_does_not_count(behind):
    np.testing.assert_array_equal(np.asarray(decode(WHOLE["baseline"] + behind)), np.asarray(decode(WHOLE["baseline"])))


def test_metadata_that_are_ignored_cannot_reject():
    whole = WHOLE["baseline"]
    segments = [(0xE2, b"MPF\0garbage"), (0xED, b"Photoshop 3.0\0garbage"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<")]
    segments += [(0xE2, b"ICC_PROFILE\0\x09\x01" + bytes(60_000)), (0xFE, b"\0\xff\xd9")]
    added = b"".join(struct.pack(">BBH", 255, kind, len(body) + 2) + body for kind, body in segments)
    np.testing.assert_array_equal(np.asarray(decode(whole[:2] + added + whole[2:])), np.asarray(decode(whole)))


def test_scans_are_counted_before_any_is_decoded():
    whole = WHOLE["progressive"]
    start = whole.rindex(b"\xff\xda")
    assert reason(whole[:-2] + whole[start:-2] * MAX_SCANS + END) == "slow"


def test_each_byte_changed_is_read_or_rejected():
    whole = encoded(picture(size=(16, 16)), "JPEG", progressive=True)
    for place in range(2, len(whole)):
        for value in (0, 255):
            try:
                parse_jpeg(whole[:place] + bytes([value]) + whole[place + 1 :])
            except Unusable as why:
                assert why.reason in ("truncated", "unreadable", "slow")

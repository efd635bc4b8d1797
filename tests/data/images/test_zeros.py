"""Compressed pixels that end in zeros, and formats that are known and not read."""

from io import BytesIO

import numpy as np
import pytest
from pictures import encoded
from PIL import Image

from data.errors import Unusable
from data.images.decode import decode

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).resize((160, 120))
LOGO = Image.new("RGB", (160, 120), "white")
LOGO.paste(NOISE.crop((0, 0, 100, 80)), (20, 10))
FORMS = {
    "lossy": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "no skips": ("WEBP", {"method": 0}),
    "avif": ("AVIF", {"speed": 10}),
    "gif": ("GIF", {}),
}


def reason(content: bytes) -> str:
    with pytest.raises(Unusable) as error:
        decode(content)
    return error.value.reason


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("image", [NOISE, LOGO], ids=["noise", "logo"])
def test_a_part_of_a_file_with_zeros_behind_it_is_rejected(name, share, image):
    form, options = FORMS[name]
    whole = encoded(image, form, **options)
    part = whole[: int(len(whole) * share)]
    assert reason(part + bytes(len(whole) - len(part))) in ("truncated", "unreadable")
    assert reason(part) in ("truncated", "unreadable")


@pytest.mark.parametrize("method", [0, 4])
@pytest.mark.parametrize("colour", ["white", "black", "red"])
@pytest.mark.parametrize("top", [None, NOISE])
def test_a_plain_lower_part_may_be_zeros(method, colour, top):
    image = Image.new("RGB", (512, 512), colour)
    if top:
        image.paste(top.resize((512, 128)))
    content = encoded(image, "WEBP", method=method)
    with Image.open(BytesIO(content)) as oracle:
        np.testing.assert_array_equal(np.asarray(decode(content)), np.asarray(oracle.convert("RGB")))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "unsupported: HEIC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported: JPEG 2000"),
        (b"\0\0\1\0\1\0", "unsupported: ICO"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "raw: a camera raw file"),
        (b"FUJIFILMCCD-RAW 0201", "raw: a camera raw file"),
        (b"IIU\0\x18\0\0\0", "raw: a camera raw file"),
    ],
)
def test_known_formats_that_are_not_read_are_named(content, what):
    with pytest.raises(Unusable, match=what):
        decode(content + bytes(100))


def test_of_a_gif_whose_first_frame_is_smaller_the_rest_is_white():
    content = bytearray(encoded(Image.new("RGB", (16, 16), "red"), "GIF"))
    content[6:10] = b"\x20\0\x20\0"  # a canvas of 32x32
    got = np.asarray(decode(bytes(content)))
    assert (got[:16, :16] == (255, 0, 0)).all()
    assert (got[16:] == 255).all()
    assert (got[:, 16:] == 255).all()

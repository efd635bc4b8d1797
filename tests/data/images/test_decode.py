import os
import struct
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from pictures import encoded, picture, png
from PIL import Image, ImageFile

from data.errors import DataError
from data.images.decode import MAX_PIXELS, Unusable, decode, is_animated
from data.preparation.check import check

LOSSLESS = ["PNG", "BMP", "TIFF", "PPM", "GIF"]
LOSSY = ["JPEG", "WEBP", "AVIF"]


def reason(content: bytes) -> str:
    with pytest.raises(Unusable) as error:
        decode(content)
    return error.value.reason


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(form):
    image = picture()
    back = decode(encoded(image, form))
    assert back.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(back), np.asarray(image))


@pytest.mark.parametrize("form", LOSSY)
def test_lossy_formats_come_back_nearly(form):
    image = picture(size=(64, 48))
    difference = np.asarray(decode(encoded(image, form, quality=95)), float) - np.asarray(image, float)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_white_and_hidden_colours_do_not_show(mode):
    pixels = np.zeros((16, 16, 4), dtype=np.uint8)
    pixels[:, :8] = (200, 200, 200, 255)
    pixels[:, 8:] = (10, 10, 10, 0)  # black, hidden
    back = np.asarray(decode(encoded(Image.fromarray(pixels).convert(mode))))
    assert (back[:, :8] == 200).all()
    assert (back[:, 8:] == 255).all()


def test_half_transparent_is_mixed_with_white():
    back = np.asarray(decode(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)))))
    assert (back == 127).all()


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_colour_is_white(mode):
    image = Image.new("RGB", (16, 16), (255, 0, 0)).convert(mode)
    image.paste(picture(1, (8, 16)).convert(mode), (8, 0))
    hidden = image.getpixel((0, 0))
    back = np.asarray(decode(encoded(image, transparency=hidden)))
    assert (back[:, :8] == 255).all()


def test_palette_one_bit_and_grey_become_rgb():
    image = picture()
    palette = image.quantize(16)
    np.testing.assert_array_equal(np.asarray(decode(encoded(palette))), np.asarray(palette.convert("RGB")))
    bits = image.convert("1")
    assert set(np.unique(np.asarray(decode(encoded(bits))))) <= {0, 255}
    grey = np.asarray(decode(encoded(image.convert("L"))))
    assert (grey[..., 0] == grey[..., 1]).all()


def test_cmyk_becomes_rgb():
    image = picture(size=(64, 64))
    back = np.asarray(decode(encoded(image.convert("CMYK"), "JPEG", quality=95)), float)
    assert np.abs(back - np.asarray(image, float)).mean() < 4


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(form):
    ramp = np.linspace(0, 65535, 16 * 16).round().astype(np.uint16).reshape(16, 16)
    back = np.asarray(decode(encoded(Image.fromarray(ramp), form)))[..., 0]
    np.testing.assert_array_equal(back, np.round(ramp / 257).astype(np.uint8))


def test_float_and_32_bits_are_rejected():
    assert reason(encoded(Image.fromarray(np.zeros((16, 16), np.float32)), "TIFF")) == "float"
    assert reason(encoded(Image.fromarray(np.zeros((16, 16), np.int32)), "TIFF")) == "depth"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation, form):
    upright = np.arange(12 * 20 * 3, dtype=np.uint8).reshape(12, 20, 3)
    # How a camera stores it, by the EXIF standard: row 0 and column 0 are these sides of the upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif.tobytes())
    np.testing.assert_array_equal(np.asarray(decode(content)), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_every_format_is_turned_as_png_is(orientation, form, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture(size=(40, 24))
    turned = np.asarray(decode(encoded(image, form, exif=exif.tobytes(), **options)), float)
    wanted = np.asarray(decode(encoded(image, exif=exif.tobytes())), float)
    assert np.abs(turned - wanted).mean() < 4


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_whose_tags_point_to_the_same_bytes_takes_no_memory(form, peak_memory):
    count = 4000
    entries = b"".join(struct.pack("<HHII", 1000 + tag, 7, 50_000, 8) for tag in range(count))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)
    with peak_memory() as used:
        decode(encoded(picture(), form, exif=exif.ljust(60_000, b"\0")))
    assert used() < 4 << 20


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_counts_as_none():
    image = picture()
    np.testing.assert_array_equal(np.asarray(decode(encoded(image, exif=b"Exif\0\0II*\0garbage!"))), np.asarray(image))
    exif = Image.Exif()
    exif[0x0112] = 77
    np.testing.assert_array_equal(np.asarray(decode(encoded(image, exif=exif.tobytes()))), np.asarray(image))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame(form):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "green")]
    moving = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50)
    colour = np.asarray(decode(moving)).reshape(-1, 3).mean(0)
    assert colour[0] > 200 > 50 > colour[2]
    assert is_animated(moving)
    assert not is_animated(encoded(frames[0], form))
    assert not is_animated(b"")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not an image in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a known format"),
        (os.urandom(500), "not an image in a known format"),
    ],
)
def test_no_image_is_unreadable(content, detail):
    with pytest.raises(Unusable, match=f"unreadable: {detail}"):
        decode(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM"])
def test_cut_off_is_truncated(form):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form)
    assert reason(content[: int(len(content) * 0.6)]) == "truncated"


def test_tiff_cut_off_is_rejected():
    content = encoded(picture(size=(64, 64)), "TIFF")
    assert reason(content[:-2000]) in ("truncated", "unreadable")


def test_it_refuses_to_work_when_truncated_images_would_pass(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(DataError, match="LOAD_TRUNCATED_IMAGES is on: cut-off images would pass as whole ones"):
        decode(png())


def _bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises far more than its few bytes hold."""
    content = bytearray(encoded(Image.new("1", (8, 8))))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((MAX_PIXELS // 8000, 8001), "huge"),
        ((30_000, 30_000), "huge"),  # Pillow's own error
        ((10_000, 9_000), "huge"),  # Pillow's own warning
        ((7, 100), "tiny"),
        ((1, 1), "tiny"),
        ((1, 5000), "tiny"),
        ((8, 161), "thin"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_limits_are_checked_before_pixels(size, wanted):
    assert reason(_bomb(*size)) == wanted


def test_the_limits_themselves_pass():
    assert decode(png(size=(8, 8))).size == (8, 8)
    assert decode(png(size=(160, 8))).size == (160, 8)


def test_threads_see_no_state():
    images = [png(seed, (40, 30)) for seed in range(32)]
    wanted = [np.asarray(decode(content)) for content in images]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(decode, images), wanted, strict=True):
                np.testing.assert_array_equal(np.asarray(got), want)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_thousand_damaged_images_are_each_accounted_for():
    rng = np.random.default_rng(0)
    forms = [*LOSSLESS, *LOSSY]
    whole = {
        form: [encoded(picture(seed, (40 + seed, 30), "P" if form == "GIF" else "RGB"), form) for seed in range(4)]
        for form in forms
    }
    counts = {"usable": 0}
    for trial in range(1000):
        content = bytearray(whole[forms[trial % len(forms)]][trial % 4])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(content) or 1))
            match rng.integers(3):
                case 0:
                    content[place : place + 1] = bytes([rng.integers(256)])
                case 1:
                    del content[place:]
                case 2:
                    content[place:place] = rng.bytes(int(rng.integers(1, 40)))
        answer = check(bytes(content))
        word = answer.reason if isinstance(answer, Unusable) else "usable"
        counts[word] = counts.get(word, 0) + 1
        if word == "usable":
            again = decode(bytes(content))
            assert again.mode == "RGB"
            assert Image.open(BytesIO(answer.thumb)).size <= (72, 72)
    assert sum(counts.values()) == 1000
    assert counts["unreadable"] > 50
    assert counts["truncated"] > 50
    known = {"usable", "unreadable", "truncated", "unsupported", "huge", "tiny", "thin", "float", "depth", "slow"}
    assert set(counts) <= known | {"preview", "raw"}

"""TIFF files that Pillow reads as other pixels than they hold. Expected pixels are computed from the samples."""

import io
import itertools
import struct

import numpy as np
import pytest
from pictures import encoded, picture
from raw_files import tiff

from data.errors import Unusable
from data.images.decode import decode

RNG = np.random.default_rng(0)
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def reason(content: bytes) -> str:
    with pytest.raises(Unusable) as error:
        decode(content)
    return error.value.reason


def packed(samples: np.ndarray, bits: int) -> bytes:
    """(H, W) of `bits` each, as a TIFF row holds them."""
    if bits >= 8:
        return samples.astype(f"<u{bits // 8}").tobytes()
    digits = (samples[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


@pytest.mark.parametrize(("bits", "photometric"), list(itertools.product((1, 2, 4, 8, 16), (0, 1))))
def test_grey_of_any_depth_where_zero_is_black_or_white(bits, photometric):
    samples = RNG.integers(0, 2**bits, (16, 16))
    wanted = samples / (2**bits - 1) * 255
    got = np.asarray(decode(tiff(16, 16, bits, photometric, packed(samples, bits))), float)
    np.testing.assert_allclose(got[..., 0], wanted if photometric else 255 - wanted, atol=0.51)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_rgb_sample_by_sample_and_in_planes(bits, planar):
    samples = RNG.integers(0, 2**bits, (16, 20, 3))
    data = packed(samples.transpose(2, 0, 1) if planar == 2 else samples, bits)
    got = np.asarray(decode(tiff(20, 16, bits, 2, data, samples=3, planar=planar)), float)
    np.testing.assert_allclose(got, samples / (2**bits - 1) * 255, atol=1)


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("unsupported", tiff(16, 16, 16, 1, bytes(512), extra=[(266, [2])])),
        ("unsupported", tiff(16, 16, 8, 3, bytes(256), extra=[(320, [200] * 768)])),
        ("unsupported", tiff(16, 16, 8, 8, bytes(768), samples=3)),
        ("unsupported", tiff(16, 16, 8, 6, bytes(768), samples=3)),
        ("unsupported", tiff(16, 16, 8, 1, bytes(512), samples=2, planar=2, extra=[(338, [2])])),
        ("unsupported", tiff(16, 16, 16, 2, bytes(2048), samples=4, planar=2, extra=[(338, [2])])),
        ("unsupported", tiff(16, 16, 12, 1, bytes(384))),
        ("unsupported", tiff(16, 16, 8, 5, bytes(1024), samples=4, extra=[(332, [2])])),
        ("depth", tiff(16, 16, 8, 1, bytes(256), extra=[(339, [2])])),
        ("depth", tiff(16, 16, 16, 1, bytes(512), extra=[(339, [2])])),
        ("float", tiff(16, 16, 32, 1, bytes(1024), extra=[(339, [3])])),
        ("preview", tiff(16, 16, 8, 2, bytes(768), samples=3, extra=[(254, [1])])),
        ("raw", tiff(16, 16, 16, 32803, bytes(512))),
        ("raw", tiff(16, 16, 8, 2, bytes(768), samples=3, extra=[(50706, [1])])),
    ],
)
def test_what_would_be_other_pixels_is_rejected_by_name(what, content):
    assert reason(content) == what


def test_a_predictor_that_the_decoder_ignores_is_rejected():
    content = bytearray(encoded(picture(), "TIFF", compression="packbits"))
    place = content.index(struct.pack("<HHI", 259, 3, 1))
    content[place : place + 12] = struct.pack("<HHII", 317, 3, 1, 2)  # no compression tag is left
    assert reason(bytes(content)) == "unsupported"


def test_raw_below_a_preview_is_a_raw_file():
    """As in Nikon's and Sony's files: a picture in front, the sensor's data in a directory below."""
    content = tiff(16, 16, 8, 2, bytes(768), samples=3, extra=[(330, [2000])])
    below = struct.pack("<H", 1) + struct.pack("<HHII", 262, 3, 1, 32803) + b"\0\0\0\0"
    assert reason(content.ljust(2000, b"\0") + below) == "raw"


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_cut_off_strips_are_truncated(compression, share):
    content = encoded(picture(size=(64, 64)), "TIFF", compression=compression)
    data = content[: int(len(content) * share)]
    assert reason(data) == "truncated"


def test_tags_that_point_nowhere_are_no_crash():
    content = tiff(16, 16, 8, 1, bytes(256))
    for place in range(len(content)):
        damaged = content[:place] + b"\xff" + content[place + 1 :]
        try:
            decode(damaged)
        except Unusable as why:
            assert why.reason


@pytest.mark.slow
def test_all_combinations_against_a_second_decoder():
    """Every photometric x bits x byte order x planes x extra samples x compression x predictor that tifffile writes is
    read as the same pixels, or rejected."""
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    kinds = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}
    extras = ((), ("unspecified",), ("unassalpha",), ("assocalpha",))
    compressions = (None, "lzw", "zlib", "packbits", "zstd", "lzma", "jpeg")
    done = {"read": 0, "rejected": 0}
    for (kind, base), dtype, order, planar, extra, compression, predictor in itertools.product(
        kinds.items(), (np.uint8, np.uint16), "<>", ("contig", "separate"), extras, compressions, (None, 2)
    ):
        channels, top = base + len(extra), np.iinfo(dtype).max
        small = RNG.integers(0, top + 1, (4, 4, channels))
        samples = np.kron(small, np.ones((8, 8, 1), int)).astype(dtype)
        if extra == ("assocalpha",):
            samples[..., :base] = samples[..., :base] * (samples[..., base:] / top)
        options = {"planarconfig": planar} if channels > 1 else {}
        if extra:
            options["extrasamples"] = extra
        file = io.BytesIO()
        try:
            tifffile.imwrite(
                file,
                np.moveaxis(samples, -1, 0) if planar == "separate" and channels > 1 else samples.squeeze(),
                photometric=kind,
                byteorder=order,
                compression=compression,
                predictor=predictor,
                metadata=None,
                **options,
            )
        except Exception:  # a combination that it does not write
            continue
        try:
            got = np.asarray(decode(file.getvalue()), float)
        except Unusable:
            done["rejected"] += 1
            continue
        done["read"] += 1
        off = np.abs(got - _wanted(samples / top, kind, base, extra))
        limit = off.mean() / 30 if compression == "jpeg" else off.max() / 4
        assert limit < 1, (kind, dtype, order, planar, extra, compression, predictor)
    assert done["read"] > 300, done


def _wanted(samples: np.ndarray, kind: str, base: int, extra: tuple[str, ...]) -> np.ndarray:
    """(H, W, 3) in 0..255: what samples in 0..1 mean, on white."""
    colour, more = samples[..., :base], samples[..., base:]
    if kind == "miniswhite":
        colour = 1 - colour
    if kind == "separated":
        colour = (1 - colour[..., :3]) * (1 - colour[..., 3:])
    if extra == ("unassalpha",):
        colour = colour * more + 1 - more
    if extra == ("assocalpha",):
        colour = colour + 1 - more
    return np.broadcast_to(colour, (*colour.shape[:2], 3)).clip(0, 1) * 255

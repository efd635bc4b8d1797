"""The one decode policy: encoded bytes to an upright RGB picture, or a reason why not.

* Alpha lies on white, whatever the mode that carries it; palette, 1-bit, grey, CMYK and YCbCr become RGB; colour
  profiles are ignored.
* 16-bit grey is scaled to 8 bit; float and 32-bit pictures are rejected: their range is not known. What Pillow would
  read as other pixels than the file's is rejected, or set right.
* The EXIF orientation is applied; broken EXIF counts as none. Of an animation, the first frame.
* Size limits are checked on the header, before pixels are decoded. What is cut off is rejected, never filled with
  grey, also where the decoder only warns.
* Metadata that are not used decide nothing: they are left out before the decoder sees them.

Preparation, extraction and uploads call the same `decode`. It keeps no state: any number of threads and processes may.
"""

import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile
from PIL.Image import Transpose

from data.errors import DataError, Unusable
from data.images import jpeg, png, tiff
from data.images.exif import ORIENTATION, orientation
from data.images.signatures import foreign_format
from data.images.zeros import MIN_ZEROS, check_ending

MAX_PIXELS = 64_000_000  # 256 MB in Pillow's memory; phones reach 50 megapixels
MIN_SIDE = 8
MAX_ASPECT = 20.0
# Formats with a signature of their own. The rest guess (TGA), or run other programs (EPS).
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_XMP = ("xmp", "XML:com.adobe.xmp")
_ENDED_EARLY = ("truncated", "unexpected end", "end of file", "not enough", "ran out of")
_BLOCK = 1 << 20  # pixels that are worked on at once

Box = tuple[int, int, int, int]  # left, top, right, bottom


def decode(content: bytes, *, verified: bool = False) -> Image.Image:
    """Decode one image to RGB, upright, on white.

    `verified`: these bytes passed before, as all of images.parquet did. A JPEG is then decoded once, not twice.

    Raises:
        Unusable: `unreadable`, `truncated`, `unsupported`, `raw`, `preview`, `float`, `depth`, `huge`, `tiny`, `thin`
            or `slow`.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DataError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on: cut-off images would pass as whole ones; find who set it"
        )
    if content.startswith(jpeg.SIGNATURE):
        return _decode_jpeg(content, verified)
    if content.startswith(png.SIGNATURE):
        chunks = png.parse_png(content)
        return _rgb(_load(_open(chunks.content)), transparent=chunks.transparent, exif=chunks.exif)
    if content.startswith(tiff.SIGNATURES):
        checked = tiff.parse_tiff(content)
        return _rgb(_load(_open(checked.content)), zero_is_white=checked.zero_is_white)
    if foreign := foreign_format(content):
        raise foreign
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if is_webp and len(content) < int.from_bytes(content[4:8], "little") + 8:
        raise Unusable("truncated", "it is shorter than its first bytes say")
    image = _open(content)
    place = image.tile[0].extents if image.format == "GIF" and image.tile else None
    _load(image)
    if is_webp or image.format == "AVIF":
        check_ending(content, image, lambda other: _load(_open(other)))
    return _in_place(_rgb(image), place)


def is_animated(content: bytes) -> bool:
    """Whether more frames follow the one that `decode` takes. Pages of a TIFF and pictures in a photo do not count."""
    if content[:4] == b"\x89PNG":
        return content.find(b"acTL", 0, content.find(b"IDAT")) > 0
    if content[:4] == b"RIFF":
        return content[12:16] == b"VP8X" and len(content) > 20 and bool(content[20] & 2)
    if content[4:8] == b"ftyp":
        return content[8:12] == b"avis"
    if content[:4] != b"GIF8":
        return False
    try:
        with Image.open(BytesIO(content), formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:
        return False


def _decode_jpeg(content: bytes, verified: bool) -> Image.Image:
    """The decode is compared with one of the same data followed by other bytes: what differs was filled in."""
    parsed = jpeg.parse_jpeg(content)
    image = _open(parsed.encoded())  # the limits, before anything is decoded
    if verified:
        return _rgb(_load(image), exif=parsed.exif)
    _check_tail(parsed)
    other = jpeg.other_ending(parsed)
    wanted = None if other is None else _checksum(_load(_open(other)))  # before the other takes its memory
    _load(image)
    if wanted is not None and _checksum(image) != wanted:
        raise Unusable("truncated", "compressed data end before the picture does")
    return _rgb(image, exif=parsed.exif)


def _check_tail(parsed: jpeg.Jpeg) -> None:
    """Zeros at the end are pixels of a plain picture, or padding; half of them cannot be the one, half the other."""
    if parsed.hollow:
        raise Unusable("truncated", "a run of zeros where no picture has one")
    if parsed.last_zeros < MIN_ZEROS or jpeg.other_ending(parsed) is None:
        return
    without, nearly = parsed.without_zeros(0), parsed.without_zeros(parsed.last_zeros - MIN_ZEROS // 2)
    if not _is_whole(without) and _is_whole(nearly):
        raise Unusable("truncated", f"its last {parsed.last_zeros} bytes are zeros")


def _is_whole(parsed: jpeg.Jpeg) -> bool:
    return _checksum(_load(_open(parsed.encoded()))) == _checksum(_load(_open(jpeg.other_ending(parsed) or b"")))


def _checksum(image: Image.Image) -> int:
    """CRC-32 of the pixels, which are copied a block at a time."""
    checksum = 0
    for box in _strips(image):
        strip = image if box == (0, 0, *image.size) else image.crop(box)
        checksum = zlib.crc32(strip.tobytes(), checksum)
    return checksum


def _open(content: bytes) -> ImageFile.ImageFile:
    """Read the header and check the limits; no pixel is decoded yet."""
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable("huge", str(error)) from None
    except MemoryError:
        raise
    except Exception as error:
        raise _why(error, content) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable("huge", f"{width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels")
    if min(width, height) < MIN_SIDE:
        raise Unusable("tiny", f"{width}x{height}: a side is shorter than {MIN_SIDE} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unusable("thin", f"{width}x{height}: one side is more than {MAX_ASPECT:g} times the other")
    return image


def _load(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image, which is returned."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every type there is
        raise _why(error, b"") from None
    return image


def _rgb(
    image: Image.Image,
    *,
    transparent: int | tuple[int, int, int] | None = None,
    zero_is_white: bool = False,
    exif: bytes = b"",
) -> Image.Image:
    """A loaded image as upright RGB on white. `transparent` and `zero_is_white`: what Pillow gets wrong by itself;
    `exif`: what was taken out before Pillow saw the file.
    """
    if transparent is not None:
        image.info["transparency"] = transparent
    try:
        return _upright(_flatten(image, zero_is_white), _orientation(image, exif))
    except (MemoryError, Unusable):
        raise
    except Exception as error:
        raise _why(error, b"") from None


def _flatten(image: Image.Image, zero_is_white: bool) -> Image.Image:
    """Any mode to RGB, on white."""
    mode = image.mode
    if mode == "F":
        raise Unusable("float", "its range of values is not known")
    if mode == "I" and image.format not in ("PNG", "PPM"):  # those two hold 16 bits in it
        raise Unusable("depth", "32 bits a channel: its range of values is not known")
    if mode == "I" or mode.startswith("I;16"):
        return _eight_bits(image, zero_is_white, image.info.get("transparency"))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")  # a copy also where it is RGB already: nothing of the file stays open


def _in_place(picture: Image.Image, box: Box | None) -> Image.Image:
    """White around the first frame of a GIF, where it is smaller than the canvas; Pillow puts any colour there."""
    if box is None or box == (0, 0, *picture.size):
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture.crop(box), box)
    return white


def _eight_bits(image: Image.Image, zero_is_white: bool, transparent: int | None) -> Image.Image:
    """16-bit grey, 0..65535, to 0..255: 257 levels each, rounded."""
    grey = Image.new("L", image.size)
    for box in _strips(image):
        levels = np.asarray(image.crop(box)).clip(0, 65535).astype(np.uint32)
        if zero_is_white:
            levels = 65535 - levels
        scaled = ((levels + 128) // 257).astype(np.uint8)
        if isinstance(transparent, int):
            scaled[levels == transparent] = 255
        grey.paste(Image.fromarray(scaled), box)
    return grey.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    for box in _strips(image):
        strip = image.crop(box)
        strip.info = image.info
        rgba = strip.convert("RGBA")
        white.paste(rgba, box, rgba.getchannel("A"))
    return white


def _strips(image: Image.Image) -> list[Box]:
    """Boxes of full width and about a million pixels, top to bottom."""
    rows = max(1, _BLOCK // image.width)
    return [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]


def _orientation(image: Image.Image, exif: bytes) -> int | None:
    """By EXIF alone: XMP may name one too, which viewers ignore."""
    if image.format not in ("TIFF", "AVIF"):
        return orientation(exif or image.info.get("exif", b""))
    try:  # of a TIFF it is a tag, of an AVIF picture also a property of the picture
        for name in _XMP:
            image.info.pop(name, None)
        return image.getexif().get(ORIENTATION)
    except Exception:
        return None


def _upright(picture: Image.Image, found: int | None) -> Image.Image:
    method = None if found is None else _UPRIGHT.get(found)
    return picture if method is None else picture.transpose(method)


def _why(error: Exception, content: bytes) -> Unusable:
    text = " ".join(str(error).split())
    if isinstance(error, EOFError) or any(words in text.lower() for words in _ENDED_EARLY):
        return Unusable("truncated", text)
    if isinstance(error, Image.UnidentifiedImageError):
        if content.startswith(tiff.SIGNATURES):
            return Unusable("unreadable", "a TIFF of a kind that is not read, or damaged; save it as PNG or 8-bit RGB")
        return Unusable("unreadable", "an empty file" if not content else "not an image in a known format")
    return Unusable("unreadable", text)

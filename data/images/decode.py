"""The one decode policy: encoded bytes to an upright RGB picture, or a reason why not.

* Alpha lies on white, whatever the mode that carries it; palette, 1-bit, grey, CMYK and YCbCr become RGB; colour
  profiles are ignored.
* 16-bit grey is scaled to 8 bit; float and 32-bit pictures are rejected: their range is not known.
* The EXIF orientation is applied; broken EXIF counts as none. Of an animation, the first frame.
* Size limits are checked on the header, before pixels are decoded. What is cut off is rejected, never filled with
  grey.

Preparation, extraction and uploads call the same `decode`. It keeps no state: any number of threads and processes may.
"""

from io import BytesIO

import numpy as np
from PIL import Image, ImageFile
from PIL.Image import Transpose

from data.errors import DataError

MAX_PIXELS = 64_000_000  # 192 MB as RGB; phones reach 50 megapixels
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
_ORIENTATION = 0x0112
_ENDED_EARLY = ("truncated", "unexpected end", "end of file", "not enough", "ran out of")


class Unusable(ValueError):
    """An image that cannot be used. `reason` is one word (or the system's own words), `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Unusable"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def decode(content: bytes) -> Image.Image:
    """Decode one image to RGB, upright, on white.

    Raises:
        Unusable: `unreadable`, `truncated`, `float`, `depth`, `huge`, `tiny` or `thin`.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DataError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on: cut-off images would pass as whole ones; find who set it"
        )
    image = _open(content)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every type there is
        raise _why(error, content) from None
    return _upright(_flatten(image), image)


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


def _open(content: bytes) -> Image.Image:
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


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode to RGB, on white."""
    mode = image.mode
    if mode == "F":
        raise Unusable("float", "its range of values is not known")
    if mode == "I" and image.format not in ("PNG", "PPM"):  # those two hold 16 bits in it
        raise Unusable("depth", "32 bits a channel: its range of values is not known")
    if mode == "I" or mode.startswith("I;16"):
        # 0..65535 to 0..255: 257 levels each, rounded
        grey = (np.asarray(image, dtype=np.int64).clip(0, 65535) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image if mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")  # a copy also where it is RGB already: nothing of the file stays open


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
    except Exception:
        return picture
    return picture if method is None else picture.transpose(method)


def _why(error: Exception, content: bytes) -> Unusable:
    text = " ".join(str(error).split())
    if isinstance(error, EOFError) or any(words in text.lower() for words in _ENDED_EARLY) or _riff_is_short(content):
        return Unusable("truncated", text)
    if isinstance(error, Image.UnidentifiedImageError):
        return Unusable("unreadable", "an empty file" if not content else "not an image in a known format")
    return Unusable("unreadable", text)


def _riff_is_short(content: bytes) -> bool:
    """A WebP file says its length in its first bytes; Pillow does not say that it is shorter."""
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return is_webp and len(content) < int.from_bytes(content[4:8], "little") + 8

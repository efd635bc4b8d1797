"""Images from outside a data set (a file, a local address, bytes, a Pillow picture), under the policy of `decode`."""

from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from PIL import Image

from data.errors import DataError
from data.files.archives import MAX_FILE, read_file
from data.images.decode import Unusable, decode

ImageLike = str | Path | bytes | Image.Image
_SECONDS = 10  # a server on the same machine answers sooner
_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA")
_NUMBERS = ("F", "I")  # of unknown range: TIFF carries them, and `decode` rejects them with its reason


@dataclass(frozen=True)
class OpenedImage:
    name: str
    content: bytes  # encoded
    picture: Image.Image  # RGB, upright, on white


def open_images(images: Sequence[ImageLike]) -> list[OpenedImage]:
    """
    Raises:
        DataError: naming the first that cannot be used, and why.
    """
    opened = []
    for number, image in enumerate(images):
        name = str(image) if isinstance(image, str | Path) else f"image {number + 1}"
        try:
            content = read_image(image)
            opened.append(OpenedImage(name, content, decode(content)))
        except Unusable as why:
            raise DataError(f"{name}: {why}; give another image") from None
    return opened


def read_image(image: ImageLike) -> bytes:
    """Encoded bytes of one image. A name that starts with `file://`, `http://` or `https://` is an address.

    Raises:
        Unusable: it cannot be read, or is of a mode whose range of values is not known.
        DataError: an address that is not on this machine.
    """
    match image:
        case bytes():
            return image
        case Image.Image():
            return _encoded(image)
        case str() if image.startswith(("http://", "https://")):
            return _fetched(image)
        case str() if image.startswith("file://"):
            content = read_file(_path_of(image))
        case str() | Path():
            content = read_file(Path(image))
        case _:
            raise DataError(f"no image: {type(image).__name__}; give a path, bytes or a Pillow picture")
    if isinstance(content, Unusable):
        raise content
    return content


def _encoded(image: Image.Image) -> bytes:
    """Without loss, so that `decode` sees what it would see of a file."""
    if image.mode in _NUMBERS or image.mode.startswith("I;16"):
        kind = "TIFF" if image.mode in _NUMBERS else "PNG"
    else:
        kind = "PNG"
        if image.mode not in _IN_PNG:
            image = image.convert("RGBA" if "a" in image.mode.lower() and image.mode != "LAB" else "RGB")
    file = BytesIO()
    try:
        image.save(file, kind, compress_level=1, exif=image.getexif())
    except MemoryError:
        raise
    except Exception as error:  # of a lazily opened, damaged file: Pillow raises nearly every type there is
        raise Unusable("unreadable", " ".join(str(error).split())) from None
    return file.getvalue()


def _path_of(address: str) -> Path:
    try:
        parts = urlsplit(address)
    except ValueError:
        raise DataError(f"{address}: not an address") from None
    if "%00" in parts.path:  # no name of a file holds a zero, and the system's own calls say so with a traceback
        raise DataError(f"{address}: not an address")
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{address}: not on this machine; download it, and give the file")
    return Path(unquote(parts.path))


def _is_local(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class _StaysHere(HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, address):
        if not _is_local(address):
            raise DataError(f"{request.full_url}: leads to {address}, which is not on this machine")
        return super().redirect_request(request, file, code, message, headers, address)


def _fetched(address: str) -> bytes:
    """
    Raises:
        DataError: not this machine's own address. Unusable: no answer, an error, or too much.
    """
    try:
        here = _is_local(address)
    except ValueError:
        raise DataError(f"{address}: not an address") from None
    if not here:
        raise DataError(f"{address}: not on this machine (localhost alone is asked); download it, and give the file")
    try:
        with build_opener(ProxyHandler({}), _StaysHere).open(Request(address), timeout=_SECONDS) as answer:
            content = answer.read(MAX_FILE + 1)
    except DataError:
        raise
    except (URLError, OSError, ValueError, HTTPException) as error:
        raise Unusable("unreadable", " ".join(str(getattr(error, "reason", None) or error).split())) from None
    if len(content) > MAX_FILE:
        raise Unusable("huge", f"more than {MAX_FILE >> 20} MB")
    return content

"""Pictures inside HTML: a page of one file."""

import base64
import io

from PIL import Image


def data_url(picture: bytes) -> str:
    """A PNG or a JPEG as a data URL."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def image_url(picture: Image.Image, kind: str = "JPEG") -> str:
    """A picture as the data URL of a JPEG or a PNG."""
    stream = io.BytesIO()
    picture.save(stream, kind, quality=85)
    return data_url(stream.getvalue())

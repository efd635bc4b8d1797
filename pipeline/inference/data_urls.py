"""Pictures inside HTML: a page of one file."""

import base64


def data_url(picture: bytes) -> str:
    """A PNG or a JPEG as a data URL."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"

"""Uploads: bytes as they came, under the one decode policy, in a process with a time limit."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import gradio as gr
from gradio_client.utils import is_http_url_like
from PIL import Image

from data.errors import DataError, Unusable
from data.files.archives import read_file
from pipeline.demo.decode_process import decode_in_process
from pipeline.demo.html import message
from pipeline.errors import BAD_INPUT

MAX_UPLOAD = 32 << 20  # bytes
Upload = dict[str, Any]  # as Gradio describes a file that was uploaded
P = ParamSpec("P")


def picture_input(label: str, *, elem_id: str) -> gr.Image:
    """Gradio's image input. Its events are set with `preprocess=False`: handlers get the upload, not its decoding."""
    picture = gr.Image(
        label=label,
        elem_id=elem_id,
        format="png",
        sources=["upload", "clipboard"],
        height=260,
        buttons=[],
        interactive=True,
        placeholder="Drop a picture here\n- or -\nclick to choose one",
    )
    keep = picture.async_move_resource_to_block_cache

    async def keep_files(url_or_file_path: str | Path | None) -> str | None:
        """Gradio's own would download an address; the page opens no connections."""
        if is_http_url_like(str(url_or_file_path)):
            raise gr.Error("An address is no upload. Give a file.", print_exception=False)
        return await keep(url_or_file_path)

    picture.async_move_resource_to_block_cache = keep_files
    return picture


def read_upload(upload: Upload, what: str) -> Image.Image:
    """An uploaded picture: RGB, upright, on white. Gradio has checked that its path is one of an upload.

    Raises:
        DataError: it cannot be used; one sentence with the reason.
    """
    content = read_file(Path(upload["path"]))
    try:
        if isinstance(content, Unusable):
            raise content
        return decode_in_process(content)
    except Unusable as why:
        raise DataError(f"{what} cannot be used ({why}). Give another one.") from None


def errors_as_message(handler: Callable[P, str]) -> Callable[P, str]:
    """The handler's HTML; where it raises for a picture, a head or the machine's state, one sentence."""

    @wraps(handler)
    def answered(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return handler(*args, **kwargs)
        except (*BAD_INPUT, OSError) as error:
            return message(str(error))
        except MemoryError:
            return message("There is not enough memory for this. Give a smaller picture.")

    return answered

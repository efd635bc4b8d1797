"""Is each image usable? Decoded once, on all cores, in the order of the input."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from data.cores import cores
from data.errors import DataError
from data.files.atomic import sha256_bytes
from data.images.decode import Unusable, decode, is_animated
from data.preparation.duplicates import dhash
from data.worker import Worker, WorkerDied

THUMB_SIDE = 72
_IN_PROCESS = 2_000  # images; fewer are done before worker processes have started
_CHUNK_IMAGES, _CHUNK_BYTES = 128, 8 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """A usable image: what is kept of it besides its bytes."""

    sha256: str
    thumb: bytes  # JPEG, the longer side at most THUMB_SIDE pixels, on white
    dhash: bytes
    animated: bool


def check(content: bytes) -> Checked | Unusable:
    """Decode `content` as extraction will; the reason where that fails."""
    try:
        picture = decode(content)
    except Unusable as why:
        return why
    small = shrink(picture)
    return Checked(sha256_bytes(content), thumb(small), dhash(small), is_animated(content))


def shrink(picture: Image.Image) -> Image.Image:
    """At most THUMB_SIDE pixels on the longer side; what is smaller stays as it is."""
    picture.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.BICUBIC)
    return picture


def thumb(small: Image.Image) -> bytes:
    """An RGB image as JPEG; greyscale images are stored with one channel, a third of the size."""
    red, green, blue = small.split()
    grey = red.tobytes() == green.tobytes() == blue.tobytes()
    file = BytesIO()
    (red if grey else small).save(file, "JPEG", quality=80)
    return file.getvalue()


def check_all(contents: Iterable[bytes | Unusable], total: int) -> Iterator[Checked | Unusable]:
    """`check` for each of `contents`, in order; `total` decides whether worker processes pay. Memory stays flat.

    Raises:
        DataError: a worker process died (out of memory, or killed).
    """
    if total < _IN_PROCESS or cores() < 2:
        yield from map(_check_or_pass, contents)
        return
    workers = [Worker(_check_chunk) for _ in range(cores())]
    sent = 0
    try:
        for chunk in _chunks(contents):
            worker = workers[sent % len(workers)]
            done = worker.receive() if sent >= len(workers) else []
            worker.send(chunk)  # before what is done is handed on, which takes the caller some time
            sent += 1
            yield from done
        for number in range(max(0, sent - len(workers)), sent):
            yield from workers[number % len(workers)].receive()
    except WorkerDied:
        raise DataError(
            "a process that checks images was killed (out of memory?); free some memory and run again"
        ) from None
    finally:
        for worker in workers:
            worker.close()


def _check_or_pass(content: bytes | Unusable) -> Checked | Unusable:
    if isinstance(content, Unusable):
        return content
    with warnings.catch_warnings():  # Pillow warns about odd metadata; what matters comes back as a reason
        warnings.simplefilter("ignore")
        return check(content)


def _check_chunk(chunk: list[bytes | Unusable]) -> list[Checked | Unusable]:
    return [_check_or_pass(content) for content in chunk]


def _chunks(contents: Iterable[bytes | Unusable]) -> Iterator[list[bytes | Unusable]]:
    chunk: list[bytes | Unusable] = []
    size = 0
    for content in contents:
        chunk.append(content)
        size += 0 if isinstance(content, Unusable) else len(content)
        if len(chunk) >= _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk

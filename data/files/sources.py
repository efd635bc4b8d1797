"""A file of a mirror or a web server as a stream, with limits: on the wait, on the time it may drip, on its length."""

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import Request, url2pathname

from data.errors import DataError

PIECE = 1 << 20
SILENCE = 30.0  # seconds without a byte, after which a connection is given up
ANSWER = 45.0  # seconds until the header of an answer is there
SLOWEST, WINDOW = 2000, 30.0  # bytes per second, over so many seconds: half of what a modem brings
_FAILURES = (OSError, http.client.HTTPException, ValueError)


class SourceError(Exception):
    """Why a source gives no bytes, in a few words. `final`: to ask again does not help."""

    def __init__(self, error: Exception) -> None:
        super().__init__(_words(error))
        self.too_long = isinstance(error, _TooLong)
        self.final = self.too_long or (isinstance(error, urllib.error.HTTPError) and error.code < 500)


class _TooLong(OSError):
    pass


@contextmanager
def open_source(source: str, start: int, limit: int) -> Iterator[tuple[Iterator[bytes], int]]:
    """Pieces of `source` (a path, file://, http:// or https://) from byte `start`, and where they really start.

    They start at 0 where the server knows no ranges, or `source` is shorter than `start`.

    Args:
        limit: bytes that the whole of `source` may have.

    Raises:
        SourceError: no connection, no answer in time, more than `limit` or less than the server said; also while the
            pieces are read.
        DataError: an address of another kind.
    """
    with ExitStack() as opened:
        try:
            path = _local(source)
            if path is None:
                response = opened.enter_context(_response(source, start))
                start, pieces = _start(response, start), _received(response)
            else:
                file = opened.enter_context(path.open("rb"))
                start = start if start <= path.stat().st_size else 0
                file.seek(start)
                pieces = iter(lambda: file.read(PIECE), b"")
        except DataError:
            raise
        except _FAILURES as error:
            raise SourceError(error) from None
        yield _limited(pieces, limit - start), start


def join(mirror: str, name: str) -> str:
    """The address, or path, of `name` in `mirror`."""
    return f"{mirror.rstrip('/')}/{quote(name)}" if "://" in mirror else str(Path(mirror) / name)


def _words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _local(source: str) -> Path | None:
    if "://" not in source:
        return Path(source)
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if parts.scheme not in ("http", "https"):
        raise DataError(f"data.mirror: {source}: a folder, file://, http:// or https:// is wanted")
    return None


def _response(source: str, start: int) -> http.client.HTTPResponse:
    try:
        return _answer(Request(source, headers={"Range": f"bytes={start}-"} if start else {}))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing after `start`: it was whole, or another file
            raise
        return _answer(Request(source))


def _answer(request: Request) -> http.client.HTTPResponse:
    """The response, once its header is there. One that drips is left to its thread, which ends with the program."""
    found: list[http.client.HTTPResponse | Exception] = []

    def ask() -> None:
        try:
            found.append(urllib.request.urlopen(request, timeout=SILENCE))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER)
    if not found:
        raise TimeoutError(f"no answer within {ANSWER:.0f} seconds")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _start(response: http.client.HTTPResponse, asked: int) -> int:
    """Where the bytes of `response` start, by its Content-Range."""
    if response.status != 206:
        return 0
    named = response.headers.get("Content-Range", f"bytes {asked}-")
    if not named.startswith(f"bytes {asked}-"):
        raise http.client.HTTPException(f"asked for bytes from {asked} on, and got {named}")
    return asked


def _received(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes. Its early end is an error, which urllib's is not when it is read in pieces."""
    named = response.headers.get("Content-Length")
    if named is not None and not named.isdecimal():
        raise http.client.HTTPException(f"its Content-Length is '{named[:40]}'")
    left = None if named is None else int(named)
    since, received = time.monotonic(), 0
    while piece := response.read1(PIECE):
        yield piece
        received += len(piece)
        left = None if left is None else left - len(piece)
        if time.monotonic() - since > WINDOW:
            if received < SLOWEST * WINDOW:
                raise TimeoutError(f"slower than {SLOWEST / 1000:g} KB per second")
            since, received = time.monotonic(), 0
    if left is not None and left > 0:
        raise ConnectionResetError(f"the connection ended {left} bytes early")


def _limited(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    try:
        for piece in pieces:
            limit -= len(piece)
            if limit < 0:
                raise _TooLong("it is longer than it may be")
            yield piece
    except _FAILURES as error:
        raise SourceError(error) from None

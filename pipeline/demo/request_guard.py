"""What the page's server refuses before Gradio sees it: other hosts, addresses to fetch, requests that are too large.

The page is for this machine alone. The Host header identifies sites whose own name resolves to 127.0.0.1 (DNS
rebinding); Gradio's routes that fetch an address for the browser (`file=http://...`, `proxy=...`) are closed.
"""

import re

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost", "[::1]")
OTHER_BYTES = 4 << 20  # of a request that is no upload: strokes, names
MARGIN = 1 << 16  # what a form adds to its file
FETCHES = re.compile(r"/proxy=|/file=\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


class RequestGuard:
    """ASGI middleware; answers 403 or 413 in place of the application."""

    def __init__(self, app: ASGIApp, *, upload_bytes: int) -> None:
        self.app, self.upload_bytes = app, upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = self.upload_bytes + MARGIN if scope["path"].endswith("/upload") else OTHER_BYTES
        if not _is_local(headers.get(b"host", b"").decode("latin-1")):
            await self._refuse(403, "this page is for this machine alone", scope, receive, send)
        elif FETCHES.search(scope["path"]):
            await self._refuse(403, "this page fetches no addresses", scope, receive, send)
        elif _length(headers) > limit:
            await self._refuse(413, f"more than {limit >> 20} MB", scope, receive, send)
        else:
            await self.app(scope, _limited(receive, limit), send)

    async def _refuse(self, status: int, reason: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(reason, status)(scope, receive, send)


def _is_local(host: str) -> bool:
    """`127.0.0.1:7860` and such."""
    return re.sub(r":\d*$", "", host).lower() in HOSTS


def _length(headers: dict[bytes, bytes]) -> int:
    """As declared; a request without a length is counted as it comes."""
    declared = headers.get(b"content-length", b"0")
    return int(declared) if declared.isdigit() else 0


def _limited(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body") or b"") if message["type"] == "http.request" else 0
        if taken > limit:
            raise HTTPException(413, f"more than {limit >> 20} MB")
        return message

    return counted

"""`python -m pipeline demo`: a page to search, compare and draw on, for this machine alone."""

import socket

from pipeline.errors import ParamError
from pipeline.paths import ARTIFACTS
from pipeline.put_away import announce_restored


def run(*, first: str | None, port: int, browser: bool) -> None:
    """Serve the page until it is interrupted. `first`: the data set whose head is chosen at the start.

    Raises:
        HeadError: no trained head. ParamError: the port is taken.
    """
    check_free(port)
    from pipeline.demo.app import build, serve
    from pipeline.demo.available_heads import AvailableHeads

    announce_restored()
    page = build(AvailableHeads(ARTIFACTS, first))
    print(f"lookalike: http://127.0.0.1:{port} (Ctrl+C ends it)", flush=True)
    serve(page, port=port, browser=browser)


def check_free(port: int) -> None:
    """
    Raises:
        ParamError: something else on this machine listens there.
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ParamError(
                f"port {port} cannot be had ({reason}); give another one: --port {port % 65535 + 1}"
            ) from None

"""Who is answered, for which paths, and how much may be sent."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline.demo.request_guard import MARGIN, OTHER_BYTES, RequestGuard

UPLOAD = 6 << 20


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def client():
    guard = Middleware(RequestGuard, upload_bytes=UPLOAD)
    app = Starlette(routes=[Route("/{rest:path}", echo, methods=["GET", "POST"])], middleware=[guard])
    return TestClient(app, base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7860", "localhost:1", "LOCALHOST", "[::1]:7860"])
def test_this_machine_is_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.168.0.7", ""],
)
def test_other_hosts_are_refused(client, host):
    refused = client.get("/config", headers={"host": host})
    assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.com/",
        "/gradio_api/file=HTTPS://example.com/a.png",
        "/gradio_api/file=http%3A%2F%2Fexample.com",
        "/gradio_api/file=//example.com/a",
        "/file=ftp://example.com",
        "/gradio_api/proxy=https://example.com",
    ],
)
def test_addresses_are_not_fetched(client, path):
    assert client.get(path).status_code == 403


def test_files_of_the_page_are_served(client):
    assert client.get("/gradio_api/file=/tmp/uploads/a.png").status_code == 200


def test_a_request_is_limited_as_a_whole(client):
    def status(path: str, size: int, *, chunked: bool = False) -> int:
        content = iter([bytes(1 << 20)] * (size >> 20) + [bytes(size % (1 << 20))]) if chunked else bytes(size)
        return client.post(path, content=content).status_code

    for chunked in (False, True):
        assert status("/gradio_api/upload", UPLOAD, chunked=chunked) == 200
        assert status("/gradio_api/upload", UPLOAD + MARGIN + 1, chunked=chunked) == 413
        assert status("/gradio_api/call/search", OTHER_BYTES, chunked=chunked) == 200
        assert status("/gradio_api/call/search", OTHER_BYTES + 1, chunked=chunked) == 413

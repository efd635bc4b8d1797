"""Images from outside a data set: whatever carries them, `decode` decides."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import DataError
from data.images.decode import Unusable, decode
from data.images.open_images import open_images, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 4), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode == "RGB" and a.size == b.size and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_a_pillow_picture_is_what_its_file_would_be(mode):
    base = Image.fromarray(PIXELS, "RGBA")
    image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else base.convert(mode)
    carrier = "TIFF" if mode == "CMYK" else "PNG"
    oracle = image.convert("RGB") if mode in ("HSV", "YCbCr") else decode(encoded(image, carrier))
    assert same(decode(read_image(image)), oracle)


def test_transparency_of_a_palette_and_orientation_are_kept():
    palette = Image.fromarray(PIXELS[..., 0] // 64, "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    palette.info["transparency"] = 1
    assert same(decode(read_image(palette)), decode(encoded(palette)))
    turned = Image.fromarray(PIXELS[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(turned, exif=exif)
    opened = Image.open(BytesIO(content))
    assert decode(read_image(opened)).size == (12, 10)
    assert same(decode(read_image(opened)), decode(content))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("F", (20, 20)), "float"),
        (Image.new("I", (20, 20)), "depth"),
        (Image.new("RGB", (4, 20)), "tiny"),
        (Image.new("L", (500, 10)), "thin"),
        (b"", "unreadable: an empty file"),
        (b"<html>", "unreadable: not an image in a known format"),
        (Path("gone.png"), "No such file"),
        (Path(), "Is a directory"),
        ("file:///gone.png", "No such file"),
    ],
)
def test_what_cannot_be_used_says_why(image, reason):
    with pytest.raises(DataError, match=reason + ".*; give another image$"):
        open_images([image])


def test_a_damaged_file_opened_by_pillow():
    content = encoded(Image.fromarray(PIXELS[..., :3]).resize((90, 90)))
    with pytest.raises(Unusable):
        decode(read_image(Image.open(BytesIO(content[:-400]))))


def test_the_first_unusable_one_is_named(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>")
    fine = encoded(Image.fromarray(PIXELS))
    with pytest.raises(DataError, match=r"page\.jpg: unreadable"):
        open_images([fine, tmp_path / "page.jpg", b""])
    with pytest.raises(DataError, match=r"^image 2: "):
        open_images([fine, b""])
    with pytest.raises(DataError, match="no image: int; give a path, bytes or a Pillow picture"):
        open_images([3])


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/a.png",
        "https://10.0.0.1/a.png",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
    ],
)
def test_no_address_but_this_machine_is_asked(address):
    with pytest.raises(DataError, match="not on this machine"):
        open_images([address])
    with pytest.raises(DataError, match="not on this machine"):
        open_images(["file://server/share/a.png"])


class Server(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.com/a.png")
            self.end_headers()
        elif self.path == "/garbage":
            self.wfile.write(b"no answer of HTTP\r\n\r\n")
        elif self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "a b.png").write_bytes(encoded(Image.fromarray(PIXELS)))
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(tmp_path)))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_addresses_of_this_machine(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy is not this machine
    file = tmp_path / "a b.png"
    for address in (f"{server}/a%20b.png", server.replace("127.0.0.1", "localhost") + "/a%20b.png", file.as_uri()):
        opened = open_images([address])[0]
        assert opened.name == address and opened.content == file.read_bytes()


def test_an_address_that_fails(server):
    with pytest.raises(DataError, match=r"gone\.png: unreadable: File not found"):
        open_images([f"{server}/gone.png"])
    with pytest.raises(DataError, match=r"leads to http://example\.com/a\.png, which is not on this machine"):
        open_images([f"{server}/away"])
    for path in ("garbage", "cut"):
        with pytest.raises(DataError, match=f"/{path}: unreadable: "):
            open_images([f"{server}/{path}"])
    with pytest.raises(DataError, match="Connection refused"):
        open_images(["http://localhost:9/a.png"])


@pytest.mark.parametrize(
    "address",
    ["http://localhost/a b.png", "http://localhost:port/", "http://[bad/", "file://[bad", "file:///a%00b.png"],
)
def test_what_is_no_address_is_one_line(address):
    with pytest.raises(DataError) as error:
        open_images([address])
    assert str(error.value).startswith(address) and "\n" not in str(error.value)

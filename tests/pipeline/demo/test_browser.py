"""The page in a real browser: load, upload, draw with the mouse, read the result; hostile files; nobody is called."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from edited_head import edit_head
from hostile import HTML, hostile_files
from PIL import Image
from usable import make_usable, write_small_protocol

pytest.importorskip("gradio")
httpx = pytest.importorskip("httpx")
playwright = pytest.importorskip("playwright.sync_api")

from pipeline.demo.app import build, serve  # noqa: E402
from pipeline.demo.available_heads import AvailableHeads  # noqa: E402
from pipeline.demo.uploads import MAX_UPLOAD  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = 200
WAIT = 30_000  # ms: a busy machine is no failure
SEVEN = [[(0.2, 0.2), (0.8, 0.2), (0.4, 0.9)]]
FOUR = [[(0.3, 0.2), (0.25, 0.55), (0.75, 0.55)], [(0.6, 0.15), (0.6, 0.9)]]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Served:
    address: str
    images: list[bytes]
    called: list[str]  # every host that this process connected to

    def post(self, path: str, **content: object) -> "httpx.Response":
        return httpx.post(f"{self.address}gradio_api/{path}", timeout=60, **content)

    def upload(self, name: str, content: bytes) -> "httpx.Response":
        return self.post("upload", files={"files": (name, content)})

    def ask(self, verb: str, *values: object) -> tuple[str, str]:
        """An event's last word, as its kind and its data: what the page's own script gets."""
        event = self.post(f"call/{verb}", json={"data": values}).json()["event_id"]
        text = httpx.get(f"{self.address}gradio_api/call/{verb}/{event}", timeout=60).text
        kind, data = re.findall(r"event: (\w+)\ndata: (.*)", text)[-1]
        return kind, data


def as_file(path: str) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def watch_calls(patch: pytest.MonkeyPatch) -> list[str]:
    called, connect = [], socket.socket.connect

    def noted(self: socket.socket, place: object) -> None:
        if isinstance(place, tuple):
            called.append(place[0])
        return connect(self, place)

    patch.setattr(socket.socket, "connect", noted)
    return called


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("served")
        patch.chdir(folder)
        patch.setenv("LOOKALIKE_CACHE", str(folder / "cache"))
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        images, _ = make_usable(model="linear", dim=8)
        shutil.copytree("artifacts/emoji", "artifacts/mnist")
        edit_head(Path("artifacts/mnist/head"), protocol_sha256=write_small_protocol(Path("artifacts/mnist")).sha256)
        called = watch_calls(patch)
        page = build(AvailableHeads(Path("artifacts"), "emoji"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = serve(page, port=port, browser=False, wait=False)
        assert address == f"http://127.0.0.1:{port}/"
        yield Served(address, images, called)
        page.close(verbose=False)


@pytest.fixture
def tab(served) -> Iterator["playwright.Page"]:
    """A new tab, in which nothing may go wrong and which may call nobody but the page's own server."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 1000})
        tab.set_default_timeout(WAIT)
        asked, wrong = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.goto(served.address)
        tab.wait_for_selector("#search-offered .la-card")
        yield tab
        browser.close()
        strangers = [url for url in asked if not url.startswith((served.address, "data:", "blob:"))]
        assert len(asked) > 10 and strangers == [] and wrong == []


def draw(tab: "playwright.Page", pad: str, strokes: list) -> None:
    canvas = tab.locator(f"canvas[data-pad={pad}]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for place in places[1:]:
            tab.mouse.move(*place, steps=6)
        tab.mouse.up()


def similarity(tab: "playwright.Page", verdict: str) -> float:
    return float(tab.locator(f"{verdict} .la-meter").get_attribute("data-similarity"))


def test_search_by_upload_and_by_click(served, tab):
    tab.set_input_files(
        "#search-picture input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": served.images[3]}
    )
    first = tab.locator("#search-found .la-card").first
    playwright.expect(first.locator(".la-score")).to_contain_text("1.000")
    assert first.get_attribute("data-row") == "3" and tab.locator("#search-found .la-card").count() == 11
    tab.fill("#search-name textarea, #search-name input", "picture-7")
    tab.press("#search-name textarea, #search-name input", "Enter")
    playwright.expect(tab.locator("#search-offered .la-card")).to_have_count(1)
    tab.click("#search-offered .la-card")
    playwright.expect(tab.locator("#search-found .la-card")).to_have_count(10)
    playwright.expect(tab.locator("#search-found .la-same")).to_have_attribute("data-row", "6")


def test_compare_two_uploads_and_an_example(served, tab):
    tab.get_by_role("tab", name="Compare").click()
    for side, row in (("left", 2), ("right", 2)):
        file = {"name": "a.png", "mimeType": "image/png", "buffer": served.images[row]}
        tab.set_input_files(f"#compare-{side} input[type=file]", file)
    playwright.expect(tab.locator("#compare-verdict strong")).to_have_text("Alike")
    assert similarity(tab, "#compare-verdict") == pytest.approx(1, abs=1e-3)
    tab.get_by_role("button", name="Try a pair that is not").click()
    tab.wait_for_function("document.querySelector('#compare-verdict .la-meter').dataset.similarity < 0.9999")


def test_draw_with_the_mouse(tab):
    tab.get_by_role("tab", name="Draw").click()
    playwright.expect(tab.locator("#draw-advice")).to_contain_text("The head emoji was not trained on drawings")
    draw(tab, "left", FOUR)
    playwright.expect(tab.locator("#draw-verdict")).to_contain_text("Now draw on the other one.")
    draw(tab, "right", FOUR)
    tab.wait_for_selector("#draw-verdict .la-meter")
    same = similarity(tab, "#draw-verdict")
    assert same > 0.99
    tab.locator("[data-clear=right]").click()
    playwright.expect(tab.locator("#draw-verdict")).to_contain_text("Now draw on the other one.")
    draw(tab, "right", SEVEN)
    tab.wait_for_selector("#draw-verdict .la-meter")
    assert similarity(tab, "#draw-verdict") < same
    before = tab.locator("#draw-verdict .la-given img").first.get_attribute("src")
    tab.get_by_label("Head trained on").click()
    tab.get_by_role("option", name="mnist").click()
    playwright.expect(tab.locator("#draw-advice")).to_contain_text("Trained on digits")
    tab.wait_for_function(f"document.querySelector('#draw-verdict .la-given img')?.src !== {json.dumps(before)}")


def test_what_is_no_picture_is_errors_as_message_on_the_page(served, tab):
    files = {"cut.png": served.images[0][:200], "page.jpg": HTML, "empty.png": b"", "tiny.gif": gif(1)}
    reasons = {"cut.png": "truncated", "page.jpg": "unreadable", "empty.png": "unreadable", "tiny.gif": "tiny"}
    for name, content in files.items():
        file = {"name": name, "mimeType": "image/png", "buffer": content}
        tab.set_input_files("#search-picture input[type=file]", file)
        playwright.expect(tab.locator("#search-found .la-note")).to_contain_text(f"cannot be used ({reasons[name]}")
        assert "Traceback" not in tab.content()
        tab.reload()
        tab.wait_for_selector("#search-offered .la-card")


def gif(side: int) -> bytes:
    file = BytesIO()
    Image.new("L", (side, side)).save(file, "GIF")
    return file.getvalue()


def test_hostile_files_are_answered_with_a_sentence(served, capfd):
    kinds = {"cards": 0, "note": 0}
    for name, content in hostile_files(HOSTILE):
        sent = served.upload(name, content)
        assert sent.status_code == 200, (name, sent.text)
        kind, data = served.ask("search", "emoji", as_file(sent.json()[0]))
        assert kind == "complete", (name, content[:40], data)
        html = json.loads(data)[-1]
        found = "cards" if "la-cards" in html else "note"
        assert found == "cards" or re.search(r'^<p class="la-note" role="status">The picture cannot be used', html), (
            html
        )
        assert "Traceback" not in html and "uploads" not in html and "<script" not in html and "onerror" not in html
        kinds[found] += 1
    assert kinds["note"] > HOSTILE / 2 and kinds["cards"] > 5
    check_alive(served)
    assert "Traceback" not in capfd.readouterr().err


def check_alive(served: Served) -> None:
    path = served.upload("good.png", served.images[5]).json()[0]
    kind, data = served.ask("search", "emoji", as_file(path))
    assert kind == "complete" and 'data-row="5"' in json.loads(data)[-1]


def test_files_of_the_machine_and_addresses_are_no_uploads(served):
    hidden = served.upload(".jpg", served.images[0]).json()[0]  # Gradio takes no file whose name starts with a dot
    for path in (
        hidden,
        "/etc/passwd",
        str(Path("artifacts/emoji/head/head.json").resolve()),
        "http://127.0.0.1:9/a.png",
    ):
        kind, data = served.ask("search", "emoji", as_file(path))
        assert kind == "error" and "Traceback" not in data, (path, data)
    check_alive(served)


def test_what_is_too_large_is_refused(served):
    assert served.upload("a.png", bytes(MAX_UPLOAD + 1)).status_code == 413
    check_alive(served)


def test_other_hosts_and_addresses_are_refused(served):
    host = httpx.get(f"{served.address}config", headers={"Host": "evil.example", "Origin": "http://evil.example"})
    assert host.status_code == 403
    assert httpx.get(f"{served.address}gradio_api/file=http://example.com/").status_code == 403
    check_alive(served)


def test_other_sites_may_not_ask(served):
    sent = httpx.post(
        f"{served.address}gradio_api/call/offer", json={"data": ["emoji", ""]}, headers={"Origin": "http://example.com"}
    )
    assert sent.headers.get("access-control-allow-origin") in (None, served.address.rstrip("/"))


def test_the_server_calls_nobody(served):
    """After all of the above: its own start-up check, and these tests."""
    assert served.called and set(served.called) <= {"127.0.0.1", "localhost", "::1"}


PHONE = {"width": 390, "height": 844}
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  if (!box.width || !box.height || style.visibility === 'hidden' || style.position === 'fixed') return false;
  for (let up = one.parentElement; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== 'visible' && !['BODY', 'HTML'].includes(up.tagName)) return false;
  return box.right > innerWidth + 1 || box.left < -1;
}).map(one => one.tagName + '.' + one.className)"""
OVERLAPS = """selector => {
  const boxes = [...document.querySelectorAll(selector)].map(x => x.getBoundingClientRect()).filter(x => x.width);
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length;
}"""


def test_on_a_phone_nothing_overlaps_or_leaves_the_screen(served, tab):
    tab.set_viewport_size(PHONE)
    assert tab.evaluate(OUTSIDE) == []
    assert tab.evaluate(OVERLAPS, "#la-top h1, #la-top p, #head") == 0
    tab.locator("#search-offered .la-card").first.click()
    playwright.expect(tab.locator("#search-found .la-card").first).to_be_in_viewport(timeout=WAIT)
    assert tab.evaluate(OUTSIDE) == [] and tab.evaluate(OVERLAPS, "#search-found .la-card, .la-heat") == 0
    tab.get_by_role("tab", name="Compare").click()
    tab.get_by_role("button", name="Try a pair that is alike").click()
    tab.wait_for_selector("#compare-verdict .la-meter")
    assert tab.evaluate(OUTSIDE) == []
    tab.get_by_role("tab", name="Draw").click()
    draw(tab, "left", FOUR)
    draw(tab, "right", FOUR)
    tab.wait_for_selector("#draw-verdict .la-meter")
    assert tab.evaluate(OUTSIDE) == [] and tab.evaluate(OVERLAPS, "#draw-pads canvas, #draw-pads button") == 0


def test_a_drawing_is_judged_while_it_is_drawn(tab):
    tab.get_by_role("tab", name="Draw").click()
    draw(tab, "left", FOUR)
    canvas = tab.locator("canvas[data-pad=right]").bounding_box()
    tab.mouse.move(canvas["x"] + 40, canvas["y"] + 40)
    tab.mouse.down()
    for step in range(20):
        tab.mouse.move(canvas["x"] + 40 + 5 * step, canvas["y"] + 40 + 3 * step)
    tab.wait_for_selector("#draw-verdict .la-meter")  # the pen is still down
    tab.mouse.up()

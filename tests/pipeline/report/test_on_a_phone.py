"""The report in a real browser, 390 pixels wide: nothing leaves the screen, the baseline is on it."""

import shutil

import pytest
from evaluated import class_rows, make_params, make_run, pair_rows

from pipeline.commands.report import run
from pipeline.stages.evaluate import run as evaluate

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]

OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && !one.closest('.scroll') && (box.right > innerWidth + 1 || box.left < -1);
}).map(one => one.tagName + '.' + one.className)"""


@pytest.mark.parametrize("rows", [pair_rows, class_rows])
def test_nothing_leaves_the_screen(tmp_path, monkeypatch, rows):
    monkeypatch.chdir(tmp_path)
    make_run(rows())
    evaluate(make_params())
    run(make_params())
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(f"file://{tmp_path}/build/report/index.html")
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        table = page.locator("table.scores")
        assert table.bounding_box()["width"] <= 390  # head, baseline and chance without scrolling
        for column in ("head", "baseline", "chance"):
            assert table.locator("th", has_text=column).first.is_visible()
        neighbours = page.locator(".five").first.locator("img").all()
        tops = [one.bounding_box()["y"] for one in neighbours]
        assert len(set(tops)) == 1  # five neighbours in one line
        browser.close()

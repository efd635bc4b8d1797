"""The page on made-up runs: complete, self-contained, and the same when written twice."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluated import FOLDER, class_rows, make_params, make_run, pair_rows

from pipeline.errors import ParamError
from pipeline.stages.evaluate import run as evaluate
from pipeline.verbs.report import run

PAGE, TEXT = Path("build/report/index.html"), Path("build/report/report.md")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Outline(HTMLParser):
    """Headings, and whatever the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings, self.fetched, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "h2"
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset") or name == "xlink:href"]

    def handle_data(self, data):
        if self.inside:
            self.headings.append(data)
            self.inside = False


@pytest.mark.parametrize("rows", [pair_rows, class_rows], ids=["pairs", "classes"])
def test_one_page_that_needs_nothing_else(rows):
    make_run(rows())
    evaluate(make_params())
    run(make_params())
    page = PAGE.read_text()
    outline = Outline(page)
    assert outline.headings == [
        *("Scores", "Curves", "Gained", "Lost", "Surest", "Worst", "Map", "Distances between sets", "Provenance")
    ]
    assert all(link.startswith(("data:image/", "#")) for link in outline.fetched)
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert page.count("<svg") == 6
    numbers = json.loads(Path("metrics.json").read_text())
    assert f"{100 * numbers['top2']:.1f}" in page
    assert f"| top2 | {100 * numbers['top2']:.1f} | " in TEXT.read_text()
    assert "Pictures: nobody&#39;s." in page
    assert "Pictures: nobody's." in TEXT.read_text()

    before = (PAGE.read_bytes(), TEXT.read_bytes())
    run(make_params())
    assert (PAGE.read_bytes(), TEXT.read_bytes()) == before


def test_costs_are_shown_where_they_are_known():
    make_run(pair_rows())
    evaluate(make_params())
    Path("build").mkdir()
    Path("build/ledger.csv").write_text(
        "dataset,stage,seconds,images_per_s,peak_mb,written_mb\n"
        "emoji,train,9.0,,400,1.0\nother,train,1.0,,100,1.0\nemoji,train,7.5,,410,1.1\n"
    )
    run(make_params())
    assert "| train | 7.5 |  | 410 | 1.1 |" in TEXT.read_text()
    assert "| 9.0 |" not in TEXT.read_text()
    assert "<td>7.5</td>" in PAGE.read_text()


def test_names_cannot_break_the_page():
    rows = pair_rows()
    rows.id[:] = [f"<script>alert({i})</script>" for i in range(len(rows))]
    make_run(rows)
    evaluate(make_params())
    run(make_params())
    assert "<script" not in PAGE.read_text()


def test_without_scores():
    make_run(pair_rows())
    with pytest.raises(ParamError) as error:
        run(make_params())
    assert str(error.value) == f"{FOLDER}/scores: no scores of this run here; run `dvc repro evaluate`"


def test_scores_of_another_protocol():
    make_run(pair_rows())
    evaluate(make_params())
    Path("metrics.json").write_text('{"protocol": "0123456789abcdef"}')
    with pytest.raises(ParamError) as error:
        run(make_params())
    assert str(error.value) == "metrics.json is of another protocol than protocol.json; run `dvc repro evaluate`"

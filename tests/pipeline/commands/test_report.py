"""The page on made-up runs: complete, self-contained, and the same when written twice."""

import csv
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from edited_head import edit_head
from evaluated import FOLDER, class_rows, make_params, make_run, pair_rows

from features.settings import Backbone
from pipeline.commands.report import run
from pipeline.errors import ParamError
from pipeline.runs.query_scores import compare, parse_queries
from pipeline.stages.evaluate import run as evaluate

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


@pytest.mark.parametrize(
    ("rows", "of_classes"), [(pair_rows, []), (class_rows, ["Confused", "Groups"])], ids=["pairs", "classes"]
)
def test_one_page_that_needs_nothing_else(rows, of_classes):
    make_run(rows(), noise=2.0)
    evaluate(make_params())
    run(make_params())
    page = PAGE.read_text()
    outline = Outline(page)
    assert outline.headings == [
        *("Scores", "Curves", *of_classes, "Gained", "Lost", "Surest", "Worst", "Map"),
        *("Distances between sets", "Audit", "Provenance"),
    ]
    assert all(link.startswith(("data:image/", "#")) for link in outline.fetched)
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert page.count("<svg") == 5
    numbers = json.loads(Path("metrics.json").read_text())
    assert f"{100 * numbers['top2']:.1f}" in page
    assert f"| top2 | {100 * numbers['top2']:.1f} | " in TEXT.read_text()
    assert "Pictures: nobody&#39;s." in page
    assert "Pictures: nobody's." in TEXT.read_text()

    before = (PAGE.read_bytes(), TEXT.read_bytes())
    run(make_params())
    assert (PAGE.read_bytes(), TEXT.read_bytes()) == before


def test_classes_have_their_best_and_worst_and_what_is_confused():
    make_run(class_rows(), noise=2.0)
    evaluate(make_params())
    run(make_params())
    lines = list(csv.DictReader((FOLDER / "scores/groups.csv").read_text().splitlines()))
    worst = min(lines, key=lambda line: float(line["map_at_r"]))
    text = TEXT.read_text()
    best_part, worst_part = text.split("| best | seen |")[1].split("| worst | seen |")
    assert f"| {worst['group']} | {worst['seen']} | {worst['queries']} | " in worst_part.split("\n\n")[0].split("\n")[2]
    assert best_part.count("\n| c") == worst_part.split("##")[0].count("\n| c") == 5  # ten groups, each once
    error = next(csv.DictReader((FOLDER / "scores/confused.csv").read_text().splitlines()))
    assert f"| {error['actual']} | {error['predicted']} | {float(error['count']):.1f} | {error['queries']} | " in text


@pytest.mark.parametrize(
    ("rows", "head"),
    [
        (pair_rows, {"model": "pair_bc"}),
        (class_rows, {"model": "pair_mlp", "dim": 6, "classifier": (8,)}),
        (class_rows, {"model": "distance_logit", "dim": 6}),
        (pair_rows, {"model": "pair_mlp", "ensemble": True}),
        (class_rows, {"model": "linear", "ensemble": True}),
    ],
)
def test_heads_whose_similarity_is_no_distance_of_embeddings(rows, head):
    make_run(rows(), **head, loss="triplet")
    params = make_params()
    params = params.model_copy(update={"head": params.head.model_copy(update=head | {"loss": "triplet"})})
    evaluate(params)
    run(params)
    said = "The first seed's network before its classifier of pairs" in unescape(PAGE.read_text())
    assert said == (head["model"] != "linear")
    lines = list(csv.DictReader((FOLDER / "scores/table.csv").read_text().splitlines()))
    auc = next(line for line in lines if line["score"] == "auc")
    assert 0 <= float(auc["head"]) <= 1
    assert float(auc["half_width"]) > 0
    if head.get("ensemble"):  # one similarity: nothing is known of other seeds
        assert {line["half_width_seeds"] for line in lines} <= {"0", ""}
    found = parse_queries((FOLDER / "scores/queries.parquet").read_bytes(), name="here")
    assert len(found.scores["top2"]) == (1 if head.get("ensemble") else 2)
    assert compare(found, found).change["top2"].half_width == pytest.approx(0, abs=1e-9) or not head.get("ensemble")


def test_an_ensemble_of_equal_heads_is_the_head():
    rows = pair_rows()
    make_run(rows, head_noise=0.0)
    evaluate(make_params())
    alone = Path("metrics.json").read_text()
    make_run(rows, head_noise=0.0, ensemble=True)
    evaluate(make_params())
    one, other = json.loads(alone), json.loads(Path("metrics.json").read_text())
    assert [other[name] for name in ("top1", "top2", "map_at_r", "auc")] == pytest.approx(
        [one[name] for name in ("top1", "top2", "map_at_r", "auc")], abs=1e-4
    )


def test_with_fewer_queries():
    make_run(class_rows())
    params = make_params(queries=20)
    evaluate(params)
    run(params)
    assert "20 queries of the test split." in PAGE.read_text()


def test_the_audit_is_a_section():
    rows = pair_rows()
    rows.sha256[rows.where(split="test")[0]] = rows.sha256[0]
    make_run(rows)
    evaluate(make_params())
    run(make_params())
    for page in (PAGE.read_text(), TEXT.read_text()):
        assert "120 images of 60 groups (group)" in page
        assert "identical images in two splits: 1 (p00/000 = p40/080)" in page


@pytest.mark.parametrize(
    ("weights", "said"),
    [("openai", "Read the scores with care: the backbone may have seen these images."), ("random", "")],
)
def test_what_the_backbone_knew_is_said_first(weights, said):
    make_run(pair_rows())
    backbone = Backbone(library="timm", model="none", weights=weights)
    params = make_params().model_copy(update={"backbones": {"made_up": backbone}})
    evaluate(params)
    run(params)
    for page in (PAGE.read_text(), TEXT.read_text()):
        assert ("Read the scores with care" in page) == bool(said)
        assert said in page[: page.index("top1")]


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


def test_scores_of_another_head():
    """`dvc repro train` alone, which messages name, leaves the scores of the head before."""
    make_run(pair_rows())
    evaluate(make_params())
    edit_head(FOLDER / "head", best_epochs=[1, 2])
    with pytest.raises(ParamError, match=r"scores of another head .*; run `dvc repro evaluate`"):
        run(make_params())
    (FOLDER / "scores/queries.parquet").write_bytes(b"PAR1")
    with pytest.raises(ParamError, match=r"run `dvc repro evaluate`"):
        run(make_params())


def test_scores_of_another_protocol():
    make_run(pair_rows())
    evaluate(make_params())
    Path("metrics.json").write_text('{"protocol": "0123456789abcdef"}')
    with pytest.raises(ParamError) as error:
        run(make_params())
    assert str(error.value) == "metrics.json is of another protocol than protocol.json; run `dvc repro evaluate`"

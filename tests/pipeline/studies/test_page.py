"""The table of a study, as people and as programs read it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import ParamError
from pipeline.studies.page import study_page, verdict
from pipeline.studies.plan import plan_row
from pipeline.studies.results import ResultRow, earlier_rows, read_results, rows_without_result, write_results
from pipeline.studies.settings import Compare, Row, Section, Study

TOP = Path(__file__).parents[3]
SET = {"head.features": "efficientnet_lite0"}
ROWS = (
    Row(
        name="recipe",
        about="what they did",
        set=SET,
        compare=[{"metric": "test/top2", "published": 0.5}, {"metric": "pair_loss", "published": 0.0112}],
    ),
    Row(
        name="ours",
        set=SET,
        against="recipe",
        compare=[{"metric": "test/top2", "published": 0.7, "same_protocol": False, "published_as": "with CLIP"}],
    ),
    Row(name="later", set=SET, compare=[{"metric": "seen/balanced_accuracy", "published_as": "below"}]),
)
STUDY = Study(
    title="A report",
    link="https://example.com",
    protocol=["ambiguous", "mended"],
    sections=[Section(title="Rows", note="Of theirs.", rows=ROWS)],
)


def made_lines() -> dict[tuple[str, str], ResultRow]:
    ran = {"settings": "s", "machine": "a machine, 2 cores", "versions": "Python 3"}
    lines = [
        ResultRow("recipe", "test/top2", 0.5, 0.6, 0.05, 0.45, 0.1, None, seconds=1234.0, **ran),
        ResultRow("recipe", "pair_loss", 0.0112, 0.0119, seconds=1234.0, **ran),
        ResultRow(
            *("ours", "test/top2", 0.7, 0.65, 0.04, 0.45, 0.1),
            **{"against": "recipe", "difference": 0.05, "difference_half_width": 0.03, "queries": 1200},
            **{"seconds": 3.0} | ran,
        ),
        ResultRow("later", "seen/balanced_accuracy", settings="s", missing="a GPU: it takes a day"),
    ]
    return {(line.row, line.metric): line for line in lines}


def test_the_page_word_for_word():
    said = study_page("made", STUDY, made_lines())
    legend = next(part for part in said.split("\n\n") if part.startswith("Scores are"))
    assert said.replace(legend, "LEGEND") == (
        """# A report

[The report](https://example.com). Written by `python -m pipeline study made`; do not edit.

**Protocol**

* ambiguous
* mended

## Rows

Of theirs.

| row | score | published | ours | baseline | chance | trivial | queries | seconds |
|---|---|---|---|---|---|---|---|---|
| recipe | top2 | 50.0 | **60.0** ± 5.0 ▲ | 45.0 | 10.0 |  |  | 1,234 |
| recipe | pair_loss | 0.0112 | **0.0119** ▼ |  |  |  |  | 1,234 |
| ours | top2 | (70.0) with CLIP | **65.0** ± 4.0 | 45.0 | 10.0 |  | 1,200 | 3 |
| later | seen/balanced_accuracy | below | not run |  |  |  |  |  |

LEGEND

## On the same queries

| row | minus | score | queries | difference |
|---|---|---|---|---|
| ours | recipe | top2 | 1,200 | +5.0 ± 3.0 * |

An asterisk: the 95 % interval is clear of zero.

## Not run here

`python -m pipeline study made` runs them once that is provided:

* later. *a GPU: it takes a day*

## What the rows are

* **recipe**: what they did

Ran on:

* a machine, 2 cores; Python 3
"""
    )
    assert "▲ ours is better than the published figure, ▼ worse" in legend


def test_a_report_without_an_address_says_so():
    said = study_page("made", STUDY.model_copy(update={"link": None}), made_lines())
    assert "\nThe report has no public address that we know of. Written by" in said


@pytest.mark.parametrize(
    ("metric", "published", "ours", "half", "mark"),
    [
        ("test/top2", 0.5, 0.6, 0.05, "▲"),
        ("test/top2", 0.5, 0.6, 0.1, ""),  # the interval touches the figure
        ("test/top2", 0.5, 0.6, 0.2, ""),
        ("test/top2", 0.5, 0.4, 0.05, "▼"),
        ("test/eer", 0.5, 0.4, 0.05, "▲"),  # the smaller the better
        ("pair_loss", 0.0112, 0.0113, 0.00005, "▼"),
        ("test/top2", None, 0.6, 0.05, ""),
    ],
)
def test_a_verdict_needs_the_whole_interval(metric, published, ours, half, mark):
    line = ResultRow("a", metric, published, ours, half)
    assert verdict(Compare(metric=metric, published=published), line) == mark
    assert verdict(Compare(metric=metric, published=published, same_protocol=False), line) == ""


def test_lines_survive_the_csv(tmp_path):
    lines = made_lines()
    write_results(tmp_path / "made.csv", lines.values())
    assert read_results(tmp_path / "made.csv") == lines
    assert read_results(tmp_path / "none.csv") == {}
    (tmp_path / "made.csv").write_text("row,score\na,1\n")
    with pytest.raises(ParamError) as error:
        read_results(tmp_path / "made.csv")
    assert str(error.value).startswith(f"{tmp_path / 'made.csv'}: not a table of this version")


def test_another_machines_numbers_stay_while_the_row_is_the_same():
    raw = YAML(typ="safe").load((TOP / "params.yaml").read_text())
    planned = plan_row("made", STUDY, ROWS[0], raw, places={})
    none = {(line.row, line.metric): line for line in rows_without_result(planned, "no data")}
    assert earlier_rows(planned, none) is None
    theirs = {key: ResultRow(*key, 0.4, 0.6, 0.05, settings=planned.settings, machine="far away") for key in none}
    kept = earlier_rows(planned, theirs)
    assert [line.machine for line in kept] == ["far away"] * 2
    assert [line.published for line in kept] == [0.5, 0.0112]  # a figure that was corrected in the study's file
    other = plan_row("made", STUDY, ROWS[0].model_copy(update={"set": SET | {"head.lr": 0.5}}), raw, places={})
    assert earlier_rows(other, theirs) is None
    assert earlier_rows(planned, {("recipe", "test/top2"): theirs["recipe", "test/top2"]}) is None

"""The files of `studies/`: every row is one that the pipeline takes, and what is misspelt is told in one line."""

from pathlib import Path

import pytest

from pipeline.errors import ParamError
from pipeline.studies.settings import load_study, pick_rows

GOOD = """
title: A report
link: https://example.com
sections:
- title: Rows
  rows:
  - name: First row!
    set: {head.loss: triplet}
    compare: [{metric: test/top2, published: 0.8}]
  - name: second
    against: First row!
    compare: [{metric: test/top2}]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "made.yaml").write_text(text)
    return folder


def test_a_study_and_its_rows(tmp_path):
    study = load_study("made", folder=written(tmp_path, GOOD))
    assert [(row.name, row.slug) for row in study.rows] == [("First row!", "first-row"), ("second", "second")]
    assert pick_rows(study, ()) == study.rows
    assert [row.name for row in pick_rows(study, ("second", "First row!"))] == ["First row!", "second"]
    assert [row.name for row in pick_rows(study, ("first-row",))] == ["First row!"]
    assert [row.name for row in pick_rows(study, ("second,first-row",))] == ["First row!", "second"]


def test_a_row_whose_name_has_a_comma(tmp_path):
    study = load_study("made", folder=written(tmp_path, GOOD.replace("name: second", "name: second, on stages")))
    assert [row.name for row in pick_rows(study, ("second, on stages",))] == ["second, on stages"]
    assert len(pick_rows(study, ("second, on stages", "First row!"))) == 2
    with pytest.raises(ParamError, match="no row 'secnd'"):
        pick_rows(study, ("secnd, on stages",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("link:", "lnik:", "lnik: no such key; did you mean 'link'?"),
        (
            "published: 0.8",
            "publishd: 0.8",
            "row 'First row!': compare.0.publishd: no such key; did you mean 'published'?",
        ),
        ("against: F", "aginst: F", "row 'second': aginst: no such key; did you mean 'against'?"),
        (
            "against: First row!",
            "against: first row",
            "row 'second' is against 'first row', which is no row; did you mean 'First row!'?",
        ),
        (
            "published: 0.8",
            "published: high",
            "row 'First row!': compare.0.published: 'high': input should be a valid number",
        ),
        ("name: second", "name: first ROW", "two rows are named 'First row!', give each a name of its own"),
        ("- title: Rows\n", "- note: Rows\n", "sections.0.title: missing"),
        ("title: A report", "title: [", "not valid YAML: "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, old, new, message):
    with pytest.raises(ParamError) as error:
        load_study("made", folder=written(tmp_path, GOOD.replace(old, new)))
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(f"{tmp_path / 'made.yaml'}: {message}")


def test_unknown_names(tmp_path):
    folder = written(tmp_path, GOOD)
    with pytest.raises(ParamError) as error:
        load_study("mde", folder=folder)
    assert str(error.value) == "no study 'mde'; did you mean 'made'?"
    with pytest.raises(ParamError) as error:
        pick_rows(load_study("made", folder=folder), ["secnd"])
    assert str(error.value) == "no row 'secnd'; did you mean 'second'?"

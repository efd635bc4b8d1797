"""docs/results.md, from the studies' files."""

from pathlib import Path

import pytest

from pipeline.errors import ParamError
from pipeline.studies.results import ResultRow, read_results
from pipeline.studies.settings import Row, Section, Study, known_studies, load_study
from pipeline.studies.summary import OUT, Summarized, results_page

TOP = Path(__file__).parents[3]
ROWS = [
    Row(name="recipe", compare=[{"metric": "test/top2", "published": 0.5}]),
    Row(name="ours", compare=[{"metric": "test/top2", "published": 0.5}]),
    Row(name="aside", compare=[{"metric": "test/top2"}]),
]
STUDY = Study(
    title="A report", headline=("ours", "recipe"), picture="docs/a.png", sections=[Section(title="Rows", rows=ROWS)]
)


def test_headline_rows_with_picture_and_link():
    results = {("ours", "test/top2"): ResultRow("ours", "test/top2", 0.5, 0.6, 0.05, 0.45, 0.1)}
    lines = results_page([Summarized("made", STUDY, results)]).splitlines()
    assert "| recipe | top2 | 50.0 | not run |  |  |" in lines
    assert "| ours | top2 | 50.0 | **60.0** ± 5.0 ▲ | 45.0 | 10.0 |" in lines
    assert not any(line.startswith("| aside") for line in lines)
    assert "![A report](a.png)" in lines and "[All rows](../studies/made.md): 1 of 3 have run." in lines


def test_a_headline_that_is_no_row(tmp_path):
    text = "title: t\nheadline: [urs]\nsections: [{title: s, rows: [{name: ours, compare: [{metric: a/b}]}]}]\n"
    (tmp_path / "made.yaml").write_text(text)
    with pytest.raises(ParamError, match="headline: no row 'urs'; did you mean 'ours'"):
        load_study("made", folder=tmp_path)


def test_the_committed_page_is_that_of_the_committed_tables(monkeypatch):
    monkeypatch.chdir(TOP)
    names = known_studies()
    studies = [Summarized(name, load_study(name), read_results(Path(f"studies/{name}.csv"))) for name in names]
    assert results_page(studies) == OUT.read_text(encoding="utf-8")
    assert all(one.study.picture is None or one.study.picture.exists() for one in studies)


def test_a_study_that_has_not_run_comes_last_without_a_table():
    row = Row(name="ours", compare=[{"metric": "test/top2", "published": 0.5}])
    study = Study(title="A benchmark", sections=[Section(title="s", rows=[row])])
    ran = Study(title="A report", sections=[Section(title="s", rows=[row])])
    results = {("ours", "test/top2"): ResultRow("ours", "test/top2", ours=0.6)}
    page = results_page([Summarized("benchmark", study, {}), Summarized("report", ran, results)])
    assert page.index("A report") < page.index("A benchmark")
    assert (
        "None of 1 rows has run" in page.partition("A benchmark")[2]
        and "| ours |" not in page.partition("A benchmark")[2]
    )

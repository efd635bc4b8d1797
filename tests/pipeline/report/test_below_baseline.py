"""A head that is worse than the cosine of its own features is named, in the terminal and in the report."""

from pathlib import Path

import pytest
from evaluated import make_params, make_run, pair_rows

from pipeline.commands.report import run as report
from pipeline.report.below_baseline import below_baseline, is_below
from pipeline.stages.evaluate import run as evaluate


@pytest.mark.parametrize(
    ("head", "half_width", "baseline", "below"),
    [(0.5, 0.1, 0.7, True), (0.5, 0.2, 0.65, False), (0.8, 0.1, 0.5, False), (0.5, None, 0.7, False)],
)
def test_below_means_the_whole_interval(head, half_width, baseline, below):
    assert is_below(head, half_width, baseline) is below
    assert bool(below_baseline([("test", "top2", head, half_width, baseline)])) is below


def test_an_error_rate_is_no_score_to_be_below():
    assert below_baseline([("test", "eer", 0.1, 0.01, 0.3), ("test", "pair_loss", 0.1, 0.01, 7.0)]) == ""


def test_subsets_are_named():
    rows = [("test", "top2", 0.5, 0.1, 0.7), ("unseen", "auc", 0.5, 0.1, 0.7), ("seen", "auc", 0.9, 0.1, 0.7)]
    assert "top2, unseen auc" in below_baseline(rows)


@pytest.mark.parametrize(("noise", "warned"), [(20.0, True), (0.0, False)])
def test_a_losing_run_says_so(noise, warned, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(pair_rows(), head_noise=noise)
    evaluate(make_params())
    assert ("warning: the head is worse than its baseline" in capsys.readouterr().out) is warned
    report(make_params())
    for page in ("index.html", "report.md"):
        assert ("the head is worse than its baseline" in Path("build/report", page).read_text()) is warned

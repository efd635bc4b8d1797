import numpy as np

from heads.metrics.score_table import ScoreRow
from heads.metrics.summary import DIGITS
from pipeline.report.console import console_table, percent


def test_the_number_of_metrics_json_is_shown_as_the_same():
    """`evaluate` printed ± 2.2 of 0.0215438, and `table`, which reads 0.0215, ± 2.1."""
    assert percent(0.0215438) == percent(0.0215)
    for value in np.random.default_rng(0).random(1000):
        assert percent(value) == percent(round(value, DIGITS))


def test_evaluate_prints_it():
    row = ScoreRow("test", "top2", 0.935976, 0.0215438, 0.004, baseline=0.80348, projection=0.7, chance=0.1)
    assert f"{percent(0.936)} ± {percent(0.0215)}" in console_table([row])

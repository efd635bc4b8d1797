"""Numbers of rows: one experiment's as its table has them, folds pooled query by query, pairs on the same queries."""

from pathlib import Path

import numpy as np
import pytest
from made_experiments import experiment

from heads.metrics.intervals import mean_interval, paired_interval
from pipeline.errors import ParamError
from pipeline.studies.scores import Score, difference, score_of


def made(folder: Path, seed: int, size: int, **settings) -> Path:
    rng = np.random.default_rng(seed)
    return experiment(folder, (rng.random((2, size)) < 0.6) * 1.0, (rng.random(size) < 0.5) * 1.0, **settings)


def test_one_experiment_is_as_its_table(tmp_path):
    folders = [made(tmp_path / "a", 0, 10)]
    assert score_of(folders, "test/top2") == Score(0.5, 0.04, 0.4, 0.1, None)
    # Yes or no: the best constant answer is the trivial one, and guessing is right half the time.
    assert score_of(folders, "test/balanced_accuracy") == Score(0.8, 0.02, 0.7, 0.5, 0.5)
    assert score_of(folders, "test/accuracy") == Score(0.9, 0.02, 0.8, 0.5, 0.95)
    assert score_of(folders, "test/frozen pair_accuracy") == Score(0.81, None, 0.71, 0.5, 0.5)
    assert score_of(folders, "pair_loss") == Score(0.02)
    assert score_of(folders, "fewshot.accuracy") == Score(0.3, 0.01, 0.2, 0.05)


def test_folds_are_pooled_query_by_query(tmp_path):
    rng = np.random.default_rng(0)
    hits = [(rng.random((3, size)) < 0.6) * 1.0 for size in (8, 12, 40)]
    bare = [(rng.random(values.shape[1]) < 0.3) * 1.0 for values in hits]
    chances = (0.1, 0.1, 0.2)
    folders = [
        experiment(tmp_path / f"fold{i}", *both, chance=chance)
        for i, (both, chance) in enumerate(zip(zip(hits, bare, strict=True), chances, strict=True))
    ]
    found = score_of(folders, "test/top2")
    every = np.concatenate(hits, axis=1)
    clusters = np.repeat(np.arange(30), 2)  # none is in two folds
    assert found.ours == pytest.approx(every.mean())
    assert found.half_width == pytest.approx(mean_interval(every, clusters=clusters).half_width, rel=0.1)  # other draws
    assert found.baseline == pytest.approx(np.concatenate(bare).mean())
    assert found.chance == pytest.approx((0.1 * 20 + 0.2 * 40) / 60)


def test_folds_of_other_scores_are_averaged_by_queries(tmp_path):
    """After re-ranking, or of pairs: queries.parquet lacks them. Variances of independent folds add up."""
    folders = [made(tmp_path / "a", 0, 10), made(tmp_path / "b", 1, 30, chance=0.3)]
    table = folders[1] / "table.csv"
    table.write_text(table.read_text().replace("0.8,0.02,0.01,0.7", "0.6,0.04,0.01,0.5"))
    score = score_of(folders, "test/balanced_accuracy")
    assert score.ours == pytest.approx((10 * 0.8 + 30 * 0.6) / 40)
    assert score.half_width == pytest.approx(((10 * 0.02) ** 2 + (30 * 0.04) ** 2) ** 0.5 / 40)
    assert (score.baseline, score.chance, score.trivial) == pytest.approx(((10 * 0.7 + 30 * 0.5) / 40, 0.5, 0.5))
    assert score_of(folders, "test/frozen pair_accuracy").half_width is None  # as in each fold's table


def test_a_difference_is_paired(tmp_path):
    rng = np.random.default_rng(0)
    first = [(rng.random((2, size)) < 0.5) * 1.0 for size in (30, 50)]
    second = [np.maximum(values, (rng.random(values.shape) < 0.2) * 1.0) for values in first]
    sides = []
    for name, hits in (("before", first), ("after", second)):
        sides.append([experiment(tmp_path / name / f"fold{i}", values, values[0]) for i, values in enumerate(hits)])
    change, queries = difference(sides[1], sides[0], "test/top2")
    assert difference(sides[1], sides[0], "top2") == (change, queries)  # by its name in metrics.json
    after, before = (np.concatenate(hits, axis=1) for hits in (second, first))
    oracle = paired_interval(after, before, clusters=np.repeat(np.arange(40), 2))
    assert queries == 80
    assert change.mean == pytest.approx(after.mean() - before.mean())
    assert change.half_width == pytest.approx(oracle.half_width, rel=0.15)


def test_what_cannot_be_compared_is_refused(tmp_path):
    mine = made(tmp_path / "x/a", 0, 10)
    with pytest.raises(ParamError, match="not comparable: 'a' was scored under protocol p, 'a' under q"):
        difference([made(tmp_path / "y/a", 0, 10, protocol="q")], [mine], "top2")
    with pytest.raises(ParamError, match="not comparable: 'a' and 'b' have other queries"):
        difference([made(tmp_path / "y/b", 0, 10)], [mine], "top2")
    # A score of pairs, or of a part, has no queries to pair.
    assert difference([mine], [mine], "test/auc") is None and difference([mine], [mine], "seen/top2") is None


def test_scores_that_are_not_there(tmp_path):
    folder = made(tmp_path / "a", 0, 10)
    for metric, message in (
        ("test/topp2", "no score 'test/topp2' in scores/table.csv; did you mean 'test/top2'?"),
        ("pair_los", "no number 'pair_los' in metrics.json"),
        ("fewshot.nope", "no number 'fewshot.nope' in metrics.json"),
    ):
        with pytest.raises(ParamError) as error:
            score_of([folder], metric)
        assert str(error.value) == message

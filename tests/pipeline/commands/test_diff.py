"""Comparisons of runs, made up and out of a real DVC cache."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import make_params, make_run, pair_rows

from heads.metrics.intervals import paired_interval
from pipeline.commands.diff import comparison_text, run
from pipeline.errors import ParamError
from pipeline.runs.query_scores import QueryScores, compare, parse_queries, read_queries
from pipeline.stages.evaluate import run as evaluate

SCORES = Path("artifacts/emoji/scores/queries.parquet")


def made_up(name: str, hits: np.ndarray, *, protocol: str = "a" * 64) -> QueryScores:
    ids = np.array([f"q{i}" for i in range(hits.shape[1])], dtype=object)
    return QueryScores(name, protocol, ids, ids, {"top1": hits * 0.5, "top2": hits})


def test_compare_and_comparison_text():
    rng = np.random.default_rng(0)
    before = (rng.random((3, 200)) < 0.5).astype(float)
    after = before.copy()
    after[:, :40] = 1.0
    after[:, 40:43] = 0.0
    found = compare(made_up("old", before), made_up("new", after))
    expected = paired_interval(after, before)
    assert found.change["top2"].mean == pytest.approx(expected.mean)
    assert found.change["top2"].half_width == pytest.approx(expected.half_width, rel=0.15)
    said = comparison_text("emoji", found).splitlines()
    assert said[0] == f"emoji: old -> new; 200 queries, protocol {'a' * 16}"
    change = after.mean() - before.mean()
    line = next(line for line in said if line.startswith("  top2"))
    assert line.split()[1:4] == [f"{100 * v:.1f}" for v in (before.mean(), after.mean())] + [f"{100 * change:+.1f}"]
    assert line.endswith(" *")
    gained = [f"q{i}" for i in range(40) if before[:, i].mean() <= 0.5]
    lost = [f"q{i}" for i in range(40, 43) if before[:, i].mean() > 0.5]
    assert f"  hits at 2: {len(gained)} gained, {len(lost)} lost (McNemar p = " in said[-3 if lost else -2]
    shown = next(line for line in said if line.startswith("  gained: "))
    assert shown.endswith(f" and {len(gained) - 10} more")
    assert set(shown[10:].split(" and ")[0].split(", ")) <= set(gained)


def test_a_run_against_itself():
    hits = np.random.default_rng(0).random((1, 50))
    said = comparison_text("emoji", compare(made_up("a", hits), made_up("b", hits)))
    assert "*" not in said.splitlines()[3]
    assert said.endswith("hits at 2: 0 gained, 0 lost (McNemar p = 1)")


def test_other_protocols_are_refused():
    hits = np.ones((1, 5))
    with pytest.raises(ParamError) as error:
        compare(made_up("main", hits), made_up("exp", hits, protocol="b" * 64))
    assert str(error.value) == (
        "not comparable: 'main' was scored under protocol aaaaaaaaaaaaaaaa, 'exp' under bbbbbbbbbbbbbbbb; "
        "other images, splits or candidate lists give other numbers for the same head"
    )


def test_other_queries_are_refused():
    hits = np.ones((1, 5))
    other = replace(made_up("exp", hits), ids=np.array(list("abcde"), dtype=object))
    with pytest.raises(ParamError, match="not comparable: 'main' and 'exp' have other queries"):
        compare(made_up("main", hits), other)


def test_a_file_of_another_version():
    with pytest.raises(ParamError) as error:
        parse_queries(b"PAR1 not really", name="old")
    assert "the scores of 'old' are damaged, or of another version" in str(error.value)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git and DVC repository whose first commit has the scores of one run, and the workspace those of another."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@b.example")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init", "-q"], [*dvc, "init", "-q"], ["git", "commit", "-qm", "empty"]):
        subprocess.run(command, check=True)
    make_run(pair_rows(), head_noise=2.0)
    evaluate(make_params())
    subprocess.run([*dvc, "add", "-q", str(SCORES.parent)], check=True)
    subprocess.run("git add -A . && git commit -qm scores", shell=True, check=True)
    make_run(pair_rows(), head_noise=0.0)
    evaluate(make_params())
    return tmp_path


def test_revisions_out_of_the_cache(repository, capsys):
    capsys.readouterr()
    run("emoji", ("HEAD", "workspace"))
    said = capsys.readouterr().out
    assert said.startswith("emoji: HEAD -> workspace; 20 queries, protocol ")
    assert parse_queries(read_queries("emoji", "HEAD"), name="").scores["top2"].shape == (2, 20)

    for revision, words in (
        ("nope", "no revision or experiment 'nope'"),
        ("HEAD~1", f"no {SCORES} of 'HEAD~1' here; .*git switch --detach HEAD~1 && dvc repro"),
    ):
        with pytest.raises(ParamError, match=words):
            read_queries("emoji", revision)

    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(ParamError, match=f"no {SCORES} of 'HEAD' here"):
        read_queries("emoji", "HEAD")
    SCORES.unlink()
    with pytest.raises(ParamError, match=f"no {SCORES} of 'workspace' here; run `dvc repro evaluate`"):
        read_queries("emoji", "workspace")


def test_outputs_of_a_commit_that_are_not_in_the_cache(repository, tmp_path, monkeypatch):
    """As on a fresh clone, where DVC's data index fails with an error of its own."""
    subprocess.run(["git", "clone", "-q", str(repository), str(tmp_path / "clone")], check=True)
    monkeypatch.chdir(tmp_path / "clone")
    with pytest.raises(ParamError, match=f"no {SCORES} of 'HEAD' here") as error:
        read_queries("emoji", "HEAD")
    assert "\n" not in str(error.value)


def test_outside_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamError, match="no git repository"):
        read_queries("emoji", "HEAD")

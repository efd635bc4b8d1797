"""Which columns, cells and marks a table of runs has, and its three formats."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from heads.metrics.intervals import paired_interval
from pipeline.commands.table import split_keys
from pipeline.errors import ParamError
from pipeline.runs.query_scores import QueryScores
from pipeline.runs.run_list import Run
from pipeline.runs.run_table import differing, run_table, sorted_runs
from pipeline.runs.table_formats import FORMATS, latex, markdown

PARAMS = {
    "data.name": "emoji",
    "head.features": "small",
    "head.model": "linear",
    "head.loss": "triplet",
    "head.lr": 0.1,
}
METRICS = {
    **{"top2": 0.9312, "top2_ci": 0.0149, "recall_at_1": 0.4, "baseline.top2": 0.8, "chance.top2": 0.1},
    **{"baseline.recall_at_1": 0.25, "protocol": "aaaaaaaaaaaa", "eer": 0.1, "pair_loss": 0.0735},
}


def made(name: str, metrics: dict | None = None, **params) -> Run:
    settings = PARAMS | {key.replace("__", "."): value for key, value in params.items()}
    return Run(name, name, "", settings, METRICS | (metrics or {}))


def cells(table: str, line: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[line].strip("|").split("|")]


def test_a_run_stands_beside_baseline_and_chance():
    text = markdown(run_table([made("workspace")]))
    assert cells(text, 2) == ["workspace", "small", "linear", "triplet", "93.1 ± 1.5", "80.0", "10.0", "40.0", "25.0"]
    assert len(cells(text, 0)) == len(cells(text, 2)) == len(cells(text, 1))


def test_params_that_differ_are_columns():
    runs = [made("a"), made("b", head__lr=0.2), made("c", data__name="mnist", backbones__other__pixels=3)]
    assert differing(runs) == ["data.name", "head.features", "head.model", "head.loss", "head.lr"]
    assert "backbones.small.pixels" in differing([made("a"), made("b", backbones__small__pixels=64)])
    both = made(
        "b", head__features="both", concatenations__both__features=["small", "other"], backbones__other__pixels=3
    )
    assert "backbones.other.pixels" in differing([made("a"), both])
    assert "protocol" in differing([made("a"), made("b", {"protocol": "bbb"})])
    assert cells(markdown(run_table(runs)), 0)[:3] == ["run", "data", "features"]


def test_runs_without_metrics_of_their_params_are_marked():
    lost = Run("lost", "lost", "failed", PARAMS)
    text = markdown(run_table([made("a"), lost]))
    assert cells(text, 0)[1] == "state"
    assert cells(text, 3) == ["lost", "failed", "small", "linear", "triplet", *[""] * 5]
    assert "Without scores" in text and "lost" in text.splitlines()[-1]


def test_the_best_of_a_protocol_is_bold():
    runs = [made("a"), made("b", {"top2": 0.95, "eer": 0.05}), made("c", {"top2": 0.99, "protocol": "other"})]
    text = markdown(run_table(runs, columns=("top2", "eer", "baseline.top2", "pair_loss")))
    assert [cells(text, line)[1] for line in (2, 3, 4)] == ["93.1 ± 1.5", "**95.0** ± 1.5", "99.0 ± 1.5"]
    assert [cells(text, line)[2] for line in (2, 3, 4)] == ["10.0", "**5.0**", "10.0"]  # an error: the lower the better
    assert "**" not in cells(text, 3)[3] and "0.0735" in cells(text, 4)[4]


def test_sorting():
    runs = [made("a"), made("b", {"top2": 0.95, "eer": 0.2}, head__lr=0.01), Run("c", "c", "failed", {})]
    assert [run.name for run in sorted_runs(runs, "top2")] == ["b", "a", "c"]
    assert [run.name for run in sorted_runs(runs, "eer")] == ["a", "b", "c"]
    assert [run.name for run in sorted_runs(runs, "head.lr")] == ["b", "a", "c"]
    assert [run.name for run in sorted_runs([made("x", head__lr="a"), *runs], "head.lr")][-1] == "c"  # of two kinds


@pytest.mark.parametrize("key", ["columns", "sort"])
def test_an_unknown_key(key):
    with pytest.raises(ParamError, match="no score or param 'topp2'; did you mean 'top2'"):
        run_table([made("a")], **{key: ("topp2",) if key == "columns" else "topp2"})


def queries(name: str, hits: np.ndarray, protocol: str = "p" * 64) -> QueryScores:
    ids = np.array([f"q{i}" for i in range(hits.shape[1])], dtype=object)
    return QueryScores(name, protocol, ids, ids, {"top2": hits})


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    before = (rng.random((3, 200)) < 0.5) * 1.0
    after = np.maximum(before, (rng.random((3, 200)) < 0.3) * 1.0)
    scores = {"a": queries("a", before), "b": queries("b", after), "other": queries("other", after, "x")}

    def read(run: Run) -> QueryScores:
        if run.name not in scores:
            raise ParamError("not in the cache")
        return scores[run.name]

    runs = [made(name) for name in ("a", "b", "other", "gone")]
    table = run_table(runs, columns=("top2",), against="a", read=read)
    of_a, of_b, of_other, of_gone = [row[-1] for row in table.rows]
    expected = paired_interval(after, before)
    assert of_b.value == pytest.approx(expected.mean) and of_b.half_width == pytest.approx(expected.half_width, rel=0.1)
    assert of_b.clear and of_a.value is None and of_other.value is None and of_gone.value is None
    text = markdown(table)
    assert cells(text, 3)[-1].startswith("+") and cells(text, 3)[-1].endswith("*")
    assert "not in DVC's cache: gone" in text and "200 queries" in text
    with pytest.raises(ParamError, match="no run 'c' in the table"):
        run_table(runs, against="c", read=read)


def test_latex():
    run = made("a_1 & 50%", {"top2": 0.95})
    text = latex(run_table([made("b"), run]))
    assert r"a\_1 \& 50\% & small" in text and r"\textbf{95.0} $\pm$ 1.5" in text
    assert text.count(r"\\") == 3 and all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert len({line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}) == 1
    assert all(line.startswith("%") for line in text.partition(r"\begin")[0].splitlines())


def test_csv_has_shares_and_intervals_in_columns_of_their_own():
    runs = [made("a"), replace(made("b"), state="failed", metrics={})]
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](run_table(runs)))))
    assert float(rows[0]["top-2"]) == METRICS["top2"] and float(rows[0]["top-2 half_width"]) == METRICS["top2_ci"]
    assert rows[1]["top-2"] == "" and rows[1]["state"] == "failed"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        ("top2,auc, head.lr ,", ("top2", "auc", "head.lr")),
        ('top2, "head.loss_args.a,b",auc', ("top2", "head.loss_args.a,b", "auc")),
    ],
)
def test_columns_of_the_command_line(text, keys):
    assert split_keys(text) == keys

from pipeline.commands.table import HEADER, table

RUN = {
    "rev": "workspace",
    "Experiment": None,
    "head.features": "small",
    "head.model": "linear",
    "head.loss": "triplet",
    "top2": 0.9312,
    "top2_ci": 0.0149,
    "recall_at_1": 0.4,
    "chance.top2": 0.1,
    "baseline.top2": 0.8,
    "baseline.recall_at_1": 0.25,
}


def test_a_run_stands_beside_no_head_and_chance():
    assert table([RUN]) == [
        *HEADER,
        "| workspace | `small` | linear | triplet | **93.1 ± 1.5** | 80.0 | 10.0 | 40.0 | 25.0 |",
    ]


def test_experiments_have_their_names_and_the_commit_is_left_out():
    lines = table([RUN, RUN | {"rev": "main"}, RUN | {"rev": "4f2a", "Experiment": "wide-head"}])
    assert len(lines) == len(HEADER) + 2 and lines[-1].startswith("| wide-head |")


def test_a_run_without_metrics_has_no_line():
    assert table([RUN | {"top2": None}, {"rev": "workspace"}]) == list(HEADER)

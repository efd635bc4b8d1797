"""What an experiment leaves. The real thing: tests/pipeline/test_real_study.py."""

import pytest

from pipeline.studies.running import error_line, seconds_of


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "Running stage 'train':\nerror: params.yaml: head.loss: no 'x'\nERROR: failed to reproduce 'train'\n",
            "params.yaml: head.loss: no 'x'",
        ),
        ("Reproducing\nERROR: bad thing\nERROR: see above\n\n", "bad thing"),
        ("Traceback\nValueError: a bug\n", "ValueError: a bug"),
        ("", "it printed nothing"),
    ],
)
def test_error_line(log, words):
    assert error_line(log) == words


def test_seconds_are_those_of_the_rows_own_stages(tmp_path):
    ledger = tmp_path / "ledger.csv"
    assert seconds_of(ledger, finetunes=False) is None
    ledger.write_text("dataset,stage,seconds\na,prepare,5.0\na,extract@b,50.0\na,evaluate,2.5\n")
    assert seconds_of(ledger, finetunes=False) is None  # the head came out of the cache: how long it took is not known
    with ledger.open("a") as file:
        file.write("a,train,1.5\n")
    assert seconds_of(ledger, finetunes=False) == 4.0
    assert seconds_of(ledger, finetunes=True) is None  # and so did the network, which is most of the row
    with ledger.open("a") as file:
        file.write("a,finetune@f,10.0\n")
    assert seconds_of(ledger, finetunes=True) == 14.0

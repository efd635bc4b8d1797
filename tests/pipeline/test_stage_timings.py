import csv
from pathlib import Path

import pytest
from evaluated import FOLDER, make_run, pair_rows

from pipeline.stage_timings import LEDGER, recorded


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lines():
    return list(csv.DictReader(LEDGER.read_text().splitlines()))


def test_a_line_a_stage():
    make_run(pair_rows())
    (FOLDER / "scores").mkdir()
    (FOLDER / "scores/big").write_bytes(bytes(3 * 2**20))
    with recorded("emoji", "evaluate"):
        pass
    with recorded("emoji", "extract", "made_up"):
        sum(range(200_000))
    first, second = lines()
    assert (first["dataset"], first["stage"], first["images_per_s"], first["written_mb"]) == (
        "emoji",
        "evaluate",
        "",
        "3.0",
    )
    assert second["stage"] == "extract@made_up"
    assert int(second["images_per_s"]) > 120  # 120 images in less than a second
    assert 10 < int(second["peak_mb"]) < 100_000


def test_a_stage_that_fails_leaves_no_line():
    with pytest.raises(ValueError, match="no"), recorded("emoji", "train"):
        raise ValueError("no")
    assert not LEDGER.exists()


def test_a_ledger_that_cannot_be_written_stops_nothing():
    Path("build").write_text("a file where the folder should be")
    with recorded("emoji", "train"):
        pass

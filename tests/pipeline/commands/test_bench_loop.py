"""`bench loop` times our project and the floor in turn and keeps the ratio of each round."""

import csv

import pytest

from pipeline.commands import bench_loop


@pytest.fixture
def calls(tmp_path, monkeypatch) -> list[tuple[str, ...]]:
    called: list[tuple[str, ...]] = []
    seconds = {"project": iter([1, 8.0, 30.0, 12.0, 9, 9, 9]), "floor": iter([1, 4.0, 10.0, 8.0, 3, 3, 3])}

    def call(folder, *words) -> float:
        called.append((folder.name, *words))
        return next(seconds[folder.name])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_loop, "timed_call", call)
    monkeypatch.setattr(bench_loop, "git", lambda *words, at: "")
    monkeypatch.setattr(bench_loop, "copy_project", lambda copy: copy)
    monkeypatch.setattr(bench_loop, "floor_project", lambda folder: folder)
    return called


def test_in_turn_and_the_median_of_ratios(calls, capsys):
    bench_loop.run(rounds=3, busy=1)
    runs = calls[2:]
    assert [call[0] for call in runs] == ["project", "floor"] * 6
    assert all("head.loss=triplet" in call for call in runs[::2])
    alone, beside = csv.DictReader(bench_loop.OUT.read_text().splitlines())
    assert (alone["busy"], alone["floor_s"], alone["loop_s"], alone["ratio"]) == ("0", "8.0", "12.0", "2.0")
    assert (beside["busy"], beside["ratio"]) == ("1", "3.0")
    assert "2.0x" in capsys.readouterr().out


def test_the_floor_is_two_stages_that_import_torch():
    assert bench_loop.FLOOR["dvc.yaml"].count("python stage.py") == 2 and "torch" in bench_loop.FLOOR["stage.py"]

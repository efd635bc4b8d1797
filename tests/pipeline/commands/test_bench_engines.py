import csv

import torch

from features.settings import Backbone
from pipeline.commands import bench_engines


def test_engines_give_the_same_features_and_a_row_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = Backbone(library="torchvision", model="resnet18", weights="random", pixels=32)
    monkeypatch.setattr(bench_engines, "NETWORKS", {"small": small})
    bench_engines.run(names=["small"], rounds=2, batches=2)
    with bench_engines.OUT.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["engine"] for row in rows][:2] == ["eager", "ours"]
    assert float(rows[0]["times_eager"]) == 1.0
    # float32 with batch norms fused: the same but for rounding
    assert all(float(row["one_minus_cosine"]) < 1e-6 for row in rows)
    assert all(row["torch"] == torch.__version__ for row in rows)
    assert "-> benchmarks" in capsys.readouterr().out

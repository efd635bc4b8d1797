import csv

import pytest
import torch

from heads.training.optimizer import AdamW
from pipeline.commands import bench_finetune


def test_a_line_for_each_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_finetune, "NETWORKS", ("conv4",))
    bench_finetune.run(batch=8, steps=2, rounds=1)
    with (tmp_path / "benchmarks/finetune.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["network"] == "conv4" and float(row["times_bare"]) > 0
    assert f"our_steps_per_s {row['our_steps_per_s']}, " in capsys.readouterr().out


@pytest.mark.parametrize(
    "contender, optimizer", [(bench_finetune.bare_round, torch.optim.AdamW), (bench_finetune.our_round, AdamW)]
)
def test_both_train(contender, optimizer, monkeypatch):
    """As many steps as asked for, and each moves the weights."""
    kept = []
    original = bench_finetune.loaded
    monkeypatch.setattr(bench_finetune, "loaded", lambda name: kept.append(original(name)) or kept[-1])
    stepped = []
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda self, *lr: stepped.append(1) or step(self, *lr))
    turn = contender("conv4", 8, 3)
    network = kept[0][1]
    before = network.blocks[0][0].weight.detach().clone()
    turn()
    assert len(stepped) == 3 and not torch.equal(before, network.blocks[0][0].weight)

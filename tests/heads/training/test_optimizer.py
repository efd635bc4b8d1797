import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from heads.training.optimizer import AdamW


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_equals_torch(weight_decay):
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(2, 5, 3, generator=draw), torch.randn(4, generator=draw)]
    ours, theirs = ([nn.Parameter(value.clone()) for value in start] for _ in range(2))
    mine = AdamW(ours, lr=0.01, weight_decay=weight_decay)
    library = torch.optim.AdamW(theirs, lr=0.01, weight_decay=weight_decay)
    for step in range(20):
        mine.lr = library.param_groups[0]["lr"] = 0.01 / (1 + step)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=draw)
            b.grad = a.grad.clone()
        mine.step()
        library.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_parameter_without_gradient_stays():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = AdamW([parameter], lr=0.1, weight_decay=0.5)
    optimizer.zero_grad()
    optimizer.step()
    assert torch.equal(parameter.detach(), torch.ones(2))


def test_training_does_not_import_the_compiler():
    """The reason for this file: torch.optim brings in torch._dynamo and sympy, two seconds of a run of six."""
    code = (
        "import sys, torch; from heads.training.optimizer import AdamW; p = torch.nn.Parameter(torch.ones(1));"
        "p.sum().backward(); AdamW([p], lr=1, weight_decay=0).step(); print('torch._dynamo' in sys.modules)"
    )
    top = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

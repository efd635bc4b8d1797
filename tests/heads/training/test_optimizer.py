import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from heads.training.optimizer import AdamW, ParameterGroup


def steps(optimizer, parameters, count: int, *, rng: torch.Generator, lr: float = 0.01) -> None:
    for _ in range(count):
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=rng))
        optimizer.step(lr)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_equals_torch(weight_decay):
    rng = torch.Generator().manual_seed(0)
    start = [torch.randn(2, 5, 3, generator=rng), torch.randn(4, generator=rng)]
    ours, theirs = ([nn.Parameter(value.clone()) for value in start] for _ in range(2))
    mine = AdamW(ParameterGroup(ours[:1], weight_decay=weight_decay), ParameterGroup(ours[1:], lr_scale=10))
    groups = [{"params": theirs[:1], "weight_decay": weight_decay}, {"params": theirs[1:], "weight_decay": 0.0}]
    library = torch.optim.AdamW(groups, lr=0.01)
    for step in range(20):
        lr = 0.01 / (1 + step)
        library.param_groups[0]["lr"], library.param_groups[1]["lr"] = lr, 10 * lr
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=rng)
            b.grad = a.grad.clone()
        mine.step(lr)
        library.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_parameter_without_gradient_stays():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = AdamW(ParameterGroup([parameter], weight_decay=0.5))
    optimizer.zero_grad()
    optimizer.step(0.1)
    assert torch.equal(parameter.detach(), torch.ones(2))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_restored_state_goes_on_as_the_uninterrupted_one_in_every_layout(layout, device):
    """The kernel ignores strides: a restored moment of another layout than its weight would move other weights."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    start = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(device)
    whole, resumed = (nn.Parameter(start.clone(memory_format=layout)) for _ in range(2))
    rng = torch.Generator().manual_seed(1)
    first = AdamW(ParameterGroup([whole], weight_decay=0.1))
    steps(first, [whole], 3, rng=rng)
    saved = {name: value.detach().cpu().contiguous().clone() for name, value in first.state_dict().items()}
    with torch.no_grad():
        resumed.copy_(whole)
    second, state = AdamW(ParameterGroup([resumed], weight_decay=0.1)), rng.get_state()
    second.load_state_dict(saved)
    steps(first, [whole], 3, rng=rng)
    rng.set_state(state)
    steps(second, [resumed], 3, rng=rng)
    assert torch.equal(whole, resumed) and resumed.is_contiguous(memory_format=layout)


def test_training_does_not_import_the_compiler():
    """The class torch.optim.AdamW brings in torch._dynamo and sympy: two seconds of a run of six."""
    code = (
        "import sys, torch; from heads.training.optimizer import AdamW, ParameterGroup; "
        "p = torch.nn.Parameter(torch.ones(1)); p.sum().backward(); AdamW(ParameterGroup([p])).step(1.0); "
        "print('torch._dynamo' in sys.modules)"
    )
    top = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

import os

# Test tensors are tiny: a second thread would spend its time waiting for the first. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # and tests with two threads would spin beside other processes

from importlib.util import find_spec

import pytest

if find_spec("hypothesis"):  # a machine with a GPU may lack it: `bench gpu` runs tests there
    from hypothesis import settings

    settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
    settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("forward", "how tests marked `forward` run networks, as on another machine")
    group.addoption("--forward-dtype", choices=("float32", "bfloat16", "float16"), help="features.dtype: auto on CPUs")
    group.addoption("--forward-threads", type=int, help="threads of torch")


@pytest.fixture(autouse=True)
def forward_pass(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Apply these options to a test marked `forward`."""
    dtype, threads = (request.config.getoption(name) for name in ("--forward-dtype", "--forward-threads"))
    if not (dtype or threads) or request.node.get_closest_marker("forward") is None:
        yield
        return
    import torch

    from features.extraction import precision

    if dtype:
        monkeypatch.setitem(precision.AUTO, "cpu", getattr(torch, dtype))
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    yield
    torch.set_num_threads(before)

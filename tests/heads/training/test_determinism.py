"""Settings of the process for reproducible kernels: on for a GPU, and as they were afterwards."""

import pytest
import torch

from heads.training.determinism import deterministic


def settings() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


@pytest.mark.parametrize("before", [(False, False), (True, True), (True, False)])
def test_settings_are_put_back(before):
    kept = settings()
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = True
        with deterministic(torch.device("cpu")):
            assert settings() == (*before, True)
        with deterministic(torch.device("cuda")):
            assert settings() == (True, True, False)
        assert settings() == (*before, True)
    finally:
        torch.use_deterministic_algorithms(kept[0], warn_only=kept[1])
        torch.backends.cudnn.benchmark = kept[2]

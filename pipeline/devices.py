"""What this machine computes with: GPUs when there are any, else the CPU."""

import torch


def device() -> torch.device:
    return devices()[0]


def devices() -> list[torch.device]:
    """Every CUDA GPU, or the CPU alone."""
    if torch.cuda.is_available():
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [torch.device("cpu")]

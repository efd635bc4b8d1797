"""Lanes: the same network several times, on GPUs or CPU cores, so that a device never waits for a copy."""

import copy
import queue
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from features.network import Network

LANES_PER_GPU = 2  # one copies while the other computes


@dataclass(frozen=True)
class Lane:
    module: nn.Module
    device: torch.device
    dtype: torch.dtype
    stream: "torch.cuda.Stream | None"


def forward_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that `features.dtype` means on `device`.

    `auto` is float16 under autocast on CUDA (more bits than bfloat16, and what overflows is caught as NaN); on a CPU
    bfloat16 where it has units for it, else float32 (without the units bfloat16 is 6 times slower).
    """
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def make_lanes(network: Network, devices: Sequence[torch.device], dtype: torch.dtype) -> list[Lane]:
    """Two lanes a GPU, each with a stream of its own; one lane a CPU core, each with one thread.

    One thread a lane, not all threads on one batch: no thread waits for another, and the bytes do not depend on the
    number of cores.
    """
    lanes = []
    for device in dict.fromkeys(devices):
        module = copy.deepcopy(network.module).eval().requires_grad_(False).to(device)
        if network.convolutional:
            module = module.to(memory_format=torch.channels_last)
        if device.type == "cuda":
            lanes += [Lane(module, device, dtype, torch.cuda.Stream(device)) for _ in range(LANES_PER_GPU)]
        else:
            module = module.to(dtype)
            lanes += [Lane(module, device, dtype, None) for _ in range(torch.get_num_threads())]
    return lanes


def forward(lane: Lane, network: Network, squares: Tensor, batch: int) -> np.ndarray:
    """(b, 3, S, S) uint8 -> (b, D) float32. The network always sees `batch` images, however few are left."""
    b = len(squares)
    with torch.inference_mode(), torch.cuda.stream(lane.stream):  # a stream of None does nothing
        images = squares.to(lane.device, non_blocking=True)
        if b < batch:
            images = functional.pad(images, (0, 0, 0, 0, 0, 0, 0, batch - b))
        autocast = lane.device.type == "cuda" and lane.dtype != torch.float32
        images = network.preprocess.normalise(images, torch.float32 if autocast else lane.dtype)
        if network.convolutional:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(lane.device.type, lane.dtype, enabled=autocast):
            features = lane.module(images)
        return features[:b].float().cpu().numpy()


def run(lanes: Sequence[Lane], network: Network, loaded: Iterable[Tensor], batch: int) -> Iterator[np.ndarray]:
    """(b, D) float32 for every batch of `loaded`, in order. At most two batches a lane are under way."""
    idle: queue.SimpleQueue[Lane] = queue.SimpleQueue()
    for lane in lanes:
        idle.put(lane)

    def work(squares: Tensor) -> np.ndarray:
        lane = idle.get()
        try:
            return forward(lane, network, squares, batch)
        finally:
            idle.put(lane)

    cpu = lanes[0].device.type == "cpu"
    with ThreadPoolExecutor(
        len(lanes), initializer=torch.set_num_threads if cpu else None, initargs=(1,) * cpu
    ) as pool:
        pending: deque[Future[np.ndarray]] = deque()
        try:
            for squares in loaded:
                pending.append(pool.submit(work, squares))
                while len(pending) > 2 * len(lanes) or (pending and pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

"""Replicas of a network on GPUs or CPU cores: one computes while another copies its images."""

import copy
import queue
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.backbones.fuse_bn import fuse_batch_norms
from features.backbones.registry import LoadedBackbone
from features.errors import FeatureError, one_line
from features.extraction.precision import use_full_float32

REPLICAS_PER_GPU = 2  # one copies images while the other computes
CPU_BATCH, GPU_BATCH = 16, 256  # a CPU's caches hold the activations of few images: 16 is twice as fast as 64


@dataclass(frozen=True)
class Compute:
    """How to compute: devices of one kind, the dtype of the forward pass, images per batch, decoding processes."""

    devices: tuple[torch.device, ...]
    dtype: torch.dtype
    batch: int
    workers: int
    compile: bool = False

    @property
    def on_cpu(self) -> bool:
        return self.devices[0].type == "cpu"


@dataclass(frozen=True)
class Replica:
    module: nn.Module
    device: torch.device
    stream: "torch.cuda.Stream | None"


def inference_module(network: LoadedBackbone, compute: Compute) -> nn.Module:
    """The module that `forward` runs, on the CPU: a copy with its batch norms fused, channels_last, in its dtype (on a
    GPU autocast makes it float16).

    Extraction and queries share it: in bfloat16 fusing a batch norm alone moves features by up to 0.014
    of cosine.
    """
    if compute.dtype == torch.float32 and not compute.on_cpu:
        use_full_float32()
    module = copy.deepcopy(network.module).eval().requires_grad_(False)
    if network.convolutional:
        side = network.preprocess.size
        example = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
        module = fuse_batch_norms(module, example).to(memory_format=torch.channels_last)
    return module.to(compute.dtype) if compute.on_cpu else module


def make_replicas(module: nn.Module, compute: Compute) -> list[Replica]:
    """Two replicas per GPU, each with its own stream; one replica per CPU core, each with one thread.

    One thread per replica, rather than all threads on one batch: no thread waits for another, and the features do not
    depend on the number of cores.
    """
    replicas = []
    for device in compute.devices:
        placed = module if compute.on_cpu else copy.deepcopy(module).to(device)
        if compute.compile:
            placed.compile()
        if device.type == "cuda":
            replicas += [Replica(placed, device, torch.cuda.Stream(device)) for _ in range(REPLICAS_PER_GPU)]
        else:
            replicas += [Replica(placed, device, None)] * torch.get_num_threads()
    return replicas


def forward(replica: Replica, network: LoadedBackbone, compute: Compute, pixels: Tensor) -> Tensor:
    """(b, K, 3, S, S) uint8 -> (b, V, D) float32 on the CPU: K crops per image, V views (with the mirror image).

    Batches are padded to `compute.batch` images, so that the network sees one shape. In bfloat16 on a CPU they are
    padded to CPU_BATCH: kernels for another number of images round differently, and then the
    features of a ViT move by 4e-5 of cosine (1e-8 in the other dtypes).
    """
    if compute.on_cpu and compute.dtype == torch.bfloat16:
        return torch.cat([_forward(replica, network, compute, part, CPU_BATCH) for part in pixels.split(CPU_BATCH)])
    return _forward(replica, network, compute, pixels, compute.batch)


def _forward(replica: Replica, network: LoadedBackbone, compute: Compute, pixels: Tensor, size: int) -> Tensor:
    """`forward` of at most `size` images, padded to `size`."""
    b = len(pixels)
    autocast = not compute.on_cpu and compute.dtype != torch.float32
    with torch.inference_mode(), torch.cuda.stream(replica.stream):  # a stream of None changes nothing
        images = pixels.to(replica.device, non_blocking=True)
        if b < size:
            images = functional.pad(images, (0, 0) * 4 + (0, size - b))
        views = list(images.unbind(1))
        if network.flip:
            views.insert(1, views[0].flip(-1))
        features = []
        for view in views:
            view = network.preprocess.normalise(view, torch.float32 if autocast else compute.dtype)
            if network.convolutional:
                view = view.contiguous(memory_format=torch.channels_last)
            with torch.autocast(replica.device.type, compute.dtype, enabled=autocast):
                features.append(replica.module(view)[:b].float())
        stacked = torch.stack(features, 1)  # (b, V, D)
        if network.average:
            stacked = functional.normalize(stacked, dim=2).mean(1, keepdim=True)
        return stacked.cpu()


def run_replicas(
    module: nn.Module, network: LoadedBackbone, compute: Compute, loaded: Iterable[Tensor]
) -> Iterator[Tensor]:
    """(b, V, D) float32 for every batch of `loaded`, in order. At most two batches per replica are pending.

    `module` is the network's `inference_module`: make it before worker processes fork, see `extract_rows`.

    Raises:
        FeatureError: the GPU has too little memory; the network does not compile.
    """
    with _remedies(compute):
        yield from _run_replicas(make_replicas(module, compute), network, compute, loaded)


@contextmanager
def _remedies(compute: Compute) -> Iterator[None]:
    """Errors that another setting avoids, as one line that names it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        half = compute.batch // 2
        remedy = f"set features.batch to {half} or less" if half else "free some, or set features.dtype to float16"
        raise FeatureError(f"{compute.batch} images at once do not fit into the GPU's memory: {remedy}") from error
    except RuntimeError as error:
        if not (compute.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))):
            raise
        reason = one_line(error, 120)
        raise FeatureError(f"the network does not compile ({reason}): set features.compile to false") from error


def _run_replicas(
    replicas: list[Replica], network: LoadedBackbone, compute: Compute, loaded: Iterable[Tensor]
) -> Iterator[Tensor]:
    idle: queue.SimpleQueue[Replica] = queue.SimpleQueue()
    for replica in replicas:
        idle.put(replica)

    def work(pixels: Tensor) -> Tensor:
        replica = idle.get()
        try:
            return forward(replica, network, compute, pixels)
        finally:
            idle.put(replica)

    one_thread = partial(torch.set_num_threads, 1) if compute.on_cpu else None
    with ThreadPoolExecutor(len(replicas), "replica", initializer=one_thread) as pool:
        pending: deque[Future[Tensor]] = deque()
        try:
            for count, pixels in enumerate(loaded):
                pending.append(pool.submit(work, pixels))
                if compute.compile and count < len(replicas):
                    pending[-1].result()  # compiling is not for two threads at once
                while len(pending) > 2 * len(replicas) or (pending and pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

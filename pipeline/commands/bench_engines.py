"""`python -m pipeline bench engines`: the float32 forward pass on a CPU by onnxruntime, beside ours and plain eager.

Every engine runs batches of BATCH images on one thread per core, as extraction does.
"""

import io
import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from data.cores import cores
from features.backbones.registry import LoadedBackbone, load_backbone
from features.extraction.replicas import CPU_BATCH, Compute, inference_module
from features.freed_memory import keep_freed_memory
from pipeline.commands.bench_extract import NETWORKS
from pipeline.commands.bench_turns import median, ratio, take_turns, write_table

OUT = Path("benchmarks/engines.csv")
BATCH = CPU_BATCH
Forward = Callable[[Tensor], Tensor]  # (BATCH, 3, S, S) float32 -> (BATCH, D)


def run(*, names: list[str], rounds: int, batches: int) -> None:
    """Time every engine on `names` of NETWORKS and write the ratios to OUT."""
    keep_freed_memory()
    write_table(OUT, (row for name in names for row in _measure(name, rounds, batches)))


def _measure(name: str, rounds: int, batches: int) -> list[dict[str, object]]:
    network = load_backbone(name, NETWORKS[name])
    images = torch.randn(BATCH, 3, *[network.preprocess.size] * 2, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), one_thread_each(cores()) as pool:
        forwards, made_in = make_engines(network, images)
        expected = forwards["eager"](images)
        works = {engine: partial(in_pool, pool, forward, images, batches) for engine, forward in forwards.items()}
        found = take_turns(works, rounds)
        off = {
            engine: 1 - torch.cosine_similarity(expected.double(), forward(images).double()).min().item()
            for engine, forward in forwards.items()
        }
    return [
        {
            "network": name,
            "engine": engine,
            "times_eager": ratio(found, "eager", engine),
            "images_per_s": round(BATCH * batches / median(found, engine), 1),
            "one_minus_cosine": f"{max(off[engine], 0):.0e}",
            "seconds_to_make": round(made_in[engine], 1),
            "onnxruntime": version("onnxruntime") if find_spec("onnxruntime") else "",
        }
        for engine in forwards
    ]


def make_engines(network: LoadedBackbone, images: Tensor) -> tuple[dict[str, Forward], dict[str, float]]:
    """The engines that are installed, `eager` first, and the seconds that each took to make and for a first batch."""
    compute = Compute(devices=(torch.device("cpu"),), dtype=torch.float32, batch=BATCH, workers=0)
    ours = inference_module(network, compute)
    makers: dict[str, Callable[[], Forward]] = {
        "eager": lambda: network.module.to(memory_format=torch.channels_last),
        "ours": lambda: ours,
    }
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        makers["onnxruntime"] = partial(onnx_engine, ours, images)
    forwards, seconds = {}, {}
    for engine, make in makers.items():
        start = perf_counter()
        forwards[engine] = make()
        forwards[engine](images)
        seconds[engine] = perf_counter() - start
    return forwards, seconds


def onnx_engine(module: nn.Module, images: Tensor) -> Forward:
    """The module in onnxruntime; a session may be used by several threads, each of which then computes alone."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (images,), dynamo=True, verbose=False)
    assert program is not None  # None without `dynamo`
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(np.asarray(session.run(None, {name: x.numpy()})[0]))


def one_thread_each(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "engine", initializer=partial(torch.set_num_threads, 1))


def in_pool(pool: ThreadPoolExecutor, forward: Forward, images: Tensor, batches: int) -> None:
    def work(_: int) -> None:
        with torch.inference_mode():
            forward(images)

    list(pool.map(work, range(batches)))

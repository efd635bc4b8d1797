"""What the benchmarks share: contenders that take turns, peak memory, and a csv that names the machine."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.devices import device
from pipeline.machine import machine, peak_bytes, write_rows

Seconds = dict[str, NDArray[np.float64]]  # contender -> (rounds,)


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Time each contender once per round, in turn, so that a busy machine slows all alike; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, work in contenders.items():
            seconds[name].append(seconds_of(work))
    return {name: np.array(each[1:]) for name, each in seconds.items()}


def ratio(seconds: Seconds, of: str, to: str) -> float:
    """The median over the rounds of a round's ratio."""
    return round(float(np.median(seconds[of] / seconds[to])), 3)


def median(seconds: Seconds, of: str) -> float:
    return round(float(np.median(seconds[of])), 4)


def seconds_of(work: Callable[[], object]) -> float:
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def wait() -> None:
    """For the kernels that were started."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def reset_peak() -> None:
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak() -> int:
    """Bytes that tensors took at most: of the first card, or of this process."""
    return torch.cuda.max_memory_allocated() if device().type == "cuda" else peak_bytes()


def write_table(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Print each of `rows` when it comes, and write all to `path` with the machine."""
    about = {"threads": torch.get_num_threads(), "machine": machine(), "torch": torch.__version__}
    table = []
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items() if value != ""), flush=True)
        table.append({**row, **about})
    write_rows(path, table)
    print(f"-> {path}")

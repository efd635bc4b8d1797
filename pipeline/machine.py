"""What benchmarks say of the machine they ran on."""

import csv
import os
import platform
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch


def machine() -> str:
    """Processor and cores, and the GPU where there is one."""
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        processor = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{processor}, {os.cpu_count()} cores{gpu}"


def peak_bytes() -> int:
    """Bytes of the process at its largest."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A csv of `rows`, all with the same keys."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

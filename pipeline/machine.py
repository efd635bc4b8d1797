"""What benchmarks say of the machine they ran on."""

import os
import platform
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from data.files.atomic import write_bytes
from pipeline.shared.csv_text import csv_of_dicts


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
    write_bytes(path, csv_of_dicts(rows))

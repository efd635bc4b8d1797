"""What each stage cost on this machine: a line in build/ledger.csv, on which nothing depends and which git ignores."""

import csv
import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.paths import dataset_folder

LEDGER = Path(os.environ.get("LOOKALIKE_LEDGER", "build/ledger.csv"))  # a study keeps its own
PER_IMAGE = ("prepare", "extract", "finetune")  # stages whose time goes with the number of images
WRITES = {"prepare": ("images.parquet", "rows.parquet", "protocol.json"), "train": ("head",), "evaluate": ("scores",)}


@contextmanager
def recorded(dataset: str, stage: str, name: str = "") -> Iterator[None]:
    """Time the block and the imports in it; one that fails leaves no line. `name`: of the feature set that it makes.

    A ledger that cannot be written is no reason for a stage to fail.
    """
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    folder = dataset_folder(dataset)
    wrote = WRITES.get(stage, (f"features/{name}",))
    images = _images(folder / "rows.parquet") if stage in PER_IMAGE else 0
    row: dict[str, str] = {
        "dataset": dataset,
        "stage": f"{stage}@{name}" if name else stage,
        "seconds": f"{seconds:.1f}",
        "images_per_s": f"{images / seconds:.0f}" if images else "",
        "peak_mb": f"{_peak() / 2**20:.0f}",
        "written_mb": f"{sum(_size(folder / part) for part in wrote) / 2**20:.1f}",
    }
    with suppress(OSError):
        LEDGER.parent.mkdir(exist_ok=True)
        new = not LEDGER.exists()
        with LEDGER.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)


def _images(rows: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(rows).num_rows if rows.exists() else 0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _peak() -> int:
    """Bytes of this process, or of its largest worker, at their largest."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

"""`python -m pipeline bench extract`: each part of extraction, the whole, and the loop that everybody writes."""

import os
import platform
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.images.decode import decode
from data.tables.rows import read_images, read_rows
from features.backbones.registry import LoadedBackbone
from features.extraction.extract import extract_rows
from features.extraction.replicas import Compute, run_replicas
from features.settings import Backbone
from pipeline.extraction import load_extractor
from pipeline.machine import write_rows
from pipeline.params import Params
from pipeline.paths import dataset_folder

OUT = Path("benchmarks/extract.csv")
REFERENCE_BATCH = 64
DTYPES = ("auto", "bfloat16")  # what everybody gets, and what a CPU with units for it may choose
# Random weights: they are as fast as trained ones, and need no download.
NETWORKS = {
    "efficientnet_lite0": Backbone(library="timm", model="tf_efficientnet_lite0", weights="random", pixels=160),
    "resnet18": Backbone(library="torchvision", model="resnet18", weights="random", pixels=224),
    "resnet50": Backbone(library="torchvision", model="resnet50", weights="random", pixels=224),
    "vit_b32": Backbone(library="open_clip", model="ViT-B-32", weights="random"),
}


def run(params: Params, *, names: list[str], seconds: float, repeats: int) -> None:
    """Time `names` in each of `DTYPES` on as many images as the network runs in `seconds`; best of `repeats`."""
    source = dataset_folder(params) / "images.parquet"
    ids = read_rows(source).id.tolist()
    table = []
    for name, dtype in product(names, DTYPES):
        features = params.features.model_copy(update={"dtype": dtype})
        extractor = load_extractor(params.model_copy(update={"backbones": NETWORKS, "features": features}), name)
        table.append(
            {"backbone": name, **_measure(source, ids, extractor.network, extractor.compute, seconds, repeats)}
        )
        row = table[-1]
        print(
            f"{name} {row['pixels']} px, {row['dtype']}: "
            f"forward {row['forward']}, whole {row['whole']} ({row['whole_of_forward']}x), "
            f"reference {row['reference']} images/s ({row['speed_up']}x, cosine {row['cosine']}), "
            f"peak {row['peak_mb']} MB",
            flush=True,
        )
    write_rows(OUT, table)
    print(f"-> {OUT}")


def _measure(
    source: Path, ids: list[str], network: LoadedBackbone, compute: Compute, seconds: float, repeats: int
) -> dict[str, object]:
    """Images a second of every part; forward, whole and reference in turn, so that a busy machine slows all alike."""
    rate(run_replicas(network, compute, synthetic(network, compute, 8 * compute.batch)))  # warm
    guess = rate(run_replicas(network, compute, synthetic(network, compute, 8 * compute.batch)))
    count = max(8, round(guess * seconds / compute.batch)) * compute.batch
    rows = np.sort(np.arange(count) % len(ids))
    blobs = read_images(source, rows[:256])
    forward, whole, reference = [], [], []
    for _ in range(repeats):
        forward.append(rate(run_replicas(network, compute, synthetic(network, compute, len(rows)))))
        whole.append(rate(_keep(extract_rows(source, ids, rows, network, compute=compute), ours := [])))
        reference.append(rate(_reference(source, rows, network, compute, theirs := [])))
    cosine = torch.cosine_similarity(torch.from_numpy(np.concatenate(ours))[:, 0].float(), torch.cat(theirs))
    return {
        "pixels": network.preprocess.size,
        "images": len(rows),
        "decode_a_core": round(rate((decode(blob),) for blob in blobs)),
        "preprocess_a_core": round(rate((network.preprocess.pixels(decode(blob)),) for blob in blobs)),
        "forward": round(max(forward), 1),
        "whole": round(max(whole), 1),
        "whole_of_forward": round(max(whole) / max(forward), 3),
        "reference": round(max(reference), 1),
        "speed_up": round(max(whole) / max(reference), 2),
        "cosine": f"{cosine.min():.6f}",
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if _mac() else 2**10)),
        "dtype": str(compute.dtype).removeprefix("torch."),
        "device": _device(compute),
        "cores": os.cpu_count(),
        **{name: version(name) for name in ("torch", "torchvision", "timm", "open_clip_torch", "pillow")},
    }


def synthetic(network: LoadedBackbone, compute: Compute, images: int) -> Iterator[Tensor]:
    """The same random pixels again and again: what the network can do when nothing has to be read."""
    side = network.preprocess.size
    pixels = torch.randint(0, 256, (compute.batch, 1, 3, side, side), dtype=torch.uint8)
    pixels = pixels if compute.on_cpu else pixels.pin_memory()
    for _ in range(images // compute.batch):
        yield pixels


class Encoded(Dataset):
    """What the usual loop does: an image at a time, with open_clip's own transform."""

    def __init__(self, source: Path, rows: np.ndarray, network: LoadedBackbone) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        spec = network.preprocess
        config = PreprocessCfg(
            size=spec.size, mean=spec.mean, std=spec.std, interpolation=spec.interpolation, resize_mode=spec.fit
        )
        self.blobs = read_images(source, rows)
        # Of training, image_transform_v2 may give three transforms; of inference it gives one, PIL image -> tensor.
        self.transform = cast(Callable[[Any], Tensor], image_transform_v2(config, is_train=False))

    def __len__(self) -> int:
        return len(self.blobs)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(decode(self.blobs[index]))


def _reference(
    source: Path, rows: np.ndarray, network: LoadedBackbone, compute: Compute, kept: list[Tensor]
) -> Iterator[Tensor]:
    device = compute.devices[0]
    module = network.module.to(device)
    loader = DataLoader(Encoded(source, rows, network), REFERENCE_BATCH, num_workers=compute.workers)
    with torch.inference_mode():
        for images in loader:
            kept.append(module(images.to(device)).cpu())
            yield kept[-1]
    network.module.to("cpu")


def _keep(blocks: Iterable[tuple[np.ndarray, np.ndarray]], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    for _, features in blocks:
        kept.append(features)
        yield features


def rate(batches: Iterable) -> float:
    """Items a second, with all that a run starts up: processes, replicas."""
    start = time.perf_counter()
    count = sum(len(batch) for batch in batches)
    return count / (time.perf_counter() - start)


def _device(compute: Compute) -> str:
    if not compute.on_cpu:
        return f"{len(compute.devices)} x {torch.cuda.get_device_name(compute.devices[0])}"
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _mac() -> bool:
    return platform.system() == "Darwin"

"""`python -m pipeline bench extract`: each part of extraction, the whole, and the loop that everybody writes."""

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
from features.extraction.precision import dtype_name
from features.extraction.replicas import Compute, inference_module, run_replicas
from features.freed_memory import keep_freed_memory
from features.settings import Backbone
from pipeline.commands.bench_turns import median, peak, ratio, take_turns, write_table
from pipeline.extraction import load_extractor
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
    """Time `names` in each of `DTYPES` on as many images as the network runs in `seconds`."""
    keep_freed_memory()
    source = dataset_folder(params) / "images.parquet"
    ids = read_rows(source).id.tolist()

    def row(name: str, dtype: str) -> dict[str, object]:
        features = params.features.model_copy(update={"dtype": dtype})
        extractor = load_extractor(params.model_copy(update={"backbones": NETWORKS, "features": features}), name)
        return {"backbone": name, **_measure(source, ids, extractor.network, extractor.compute, seconds, repeats)}

    write_table(OUT, (row(name, dtype) for name, dtype in product(names, DTYPES)))


def _measure(
    source: Path, ids: list[str], network: LoadedBackbone, compute: Compute, seconds: float, rounds: int
) -> dict[str, object]:
    """Images per second of every part, with all that a run starts up: processes, replicas."""
    forward_only(network, compute, 8 * compute.batch)  # warm
    guess = forward_only(network, compute, 8 * compute.batch)
    count = max(8, round(guess * seconds / compute.batch)) * compute.batch
    rows = np.sort(np.arange(count) % len(ids))
    blobs = read_images(source, rows[:256])
    kept: dict[str, Tensor] = {}

    def whole() -> None:
        blocks = [features[:, 0] for _, features in extract_rows(source, ids, rows, network, compute=compute)]
        kept["ours"] = torch.from_numpy(np.concatenate(blocks)).float()

    def reference() -> None:
        kept["theirs"] = torch.cat(list(_reference(source, rows, network, compute)))

    def forward() -> None:
        forward_only(network, compute, count)

    found = take_turns({"forward": forward, "whole": whole, "reference": reference}, rounds)
    return {
        "pixels": network.preprocess.size,
        "images": count,
        "decode_a_core": round(rate((decode(blob),) for blob in blobs)),
        "preprocess_a_core": round(rate((network.preprocess.pixels(decode(blob)),) for blob in blobs)),
        **{name: round(count / median(found, name), 1) for name in found},
        "whole_of_forward": ratio(found, "forward", "whole"),
        "speed_up": ratio(found, "reference", "whole"),
        "cosine": f"{torch.cosine_similarity(kept['ours'], kept['theirs']).min():.6f}",
        "peak_mb": round(peak() / 2**20),
        "dtype": dtype_name(compute.dtype),
        **{name: version(name) for name in ("torchvision", "timm", "open_clip_torch", "pillow")},
    }


def forward_only(network: LoadedBackbone, compute: Compute, images: int) -> float:
    """Images per second of the forward pass, replicas made anew."""
    module = inference_module(network, compute)
    return rate(run_replicas(module, network, compute, synthetic(network, compute, images)))


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


def _reference(source: Path, rows: np.ndarray, network: LoadedBackbone, compute: Compute) -> Iterator[Tensor]:
    device = compute.devices[0]
    module = network.module.to(device)
    loader = DataLoader(Encoded(source, rows, network), REFERENCE_BATCH, num_workers=compute.workers)
    with torch.inference_mode():
        for images in loader:
            yield module(images.to(device)).cpu()
    network.module.to("cpu")


def rate(batches: Iterable) -> float:
    """Items a second, with all that a run starts up: processes, replicas."""
    start = time.perf_counter()
    count = sum(len(batch) for batch in batches)
    return count / (time.perf_counter() - start)

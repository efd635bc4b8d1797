"""Extraction with random weights on a card: a part of `bench gpu` per network."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data.cores import cores
from features.backbones.registry import LoadedBackbone, load_backbone
from features.extraction.extract import extract_rows
from features.extraction.loader import load_images
from features.extraction.precision import LEAST_COSINE, dtype_name
from features.extraction.replicas import CPU_BATCH, Compute, inference_module
from features.settings import Backbone
from pipeline.commands.bench_extract import forward_only, rate
from pipeline.commands.bench_gpu_inputs import (
    SMALL,
    Emit,
    Failed,
    Sizes,
    all_features,
    compute_here,
    cosine,
    jpeg,
    write_images,
)
from pipeline.commands.bench_turns import peak, reset_peak, wait

CPU = torch.device("cpu")
# timm's own copies of CLIP's networks: they need no open_clip.
NETWORKS = {
    "RN50x4": Backbone(library="timm", model="resnet50x4_clip", weights="random"),
    "RN50": Backbone(library="timm", model="resnet50_clip", weights="random"),
    "ViT-B/32": Backbone(library="timm", model="vit_base_patch32_clip_224", weights="random"),
    "Lite0": Backbone(library="timm", model="tf_efficientnet_lite0", weights="random", pixels=160),
}


def extraction(name: str, emit: Emit, sizes: Sizes) -> None:
    """Images per second of the bare network, of the replicas on images in memory, and of the whole path from JPEG
    bytes; memory; cosines between dtypes and devices; `features.compile`.
    """
    network, small = load_backbone(name, NETWORKS[name]), sizes is SMALL
    compute = compute_here(batch=2 if small else None)
    blobs = [jpeg(np.random.default_rng(seed)) for seed in range(sizes.images)]
    with tempfile.TemporaryDirectory() as folder:
        source = write_images(Path(folder) / "images.parquet", blobs)
        reset_peak()
        bare = bare_rate(network, compute, sizes.seconds)
        count = max(2, round(bare * len(compute.devices) * sizes.seconds / compute.batch)) * compute.batch
        rows = np.sort(np.arange(count) % sizes.images)
        batches = [rows[start : start + compute.batch] for start in range(0, len(rows), compute.batch)]
        replicas = forward_only(network, compute, count)
        ids = [""] * sizes.images
        whole = rate(features for _, features in extract_rows(source, ids, rows, network, compute=compute))
        decoded = rate(
            load_images(
                source, batches, preprocess=network.preprocess, crops=0, workers=compute.workers, pin_memory=False
            )
        )
        row = {
            "network": name,
            "pixels": network.preprocess.size,
            "dtype": dtype_name(compute.dtype),
            "batch": compute.batch,
            "cards": len(compute.devices),
            "cores": cores(),
            "bare": round(bare * len(compute.devices), 1),
            "replicas": round(replicas, 1),
            "whole": round(whole, 1),
            "whole_of_bare": round(whole / bare / len(compute.devices), 3),
            "whole_of_replicas": round(whole / replicas, 3),
            "decoded": round(decoded, 1),
            "peak_mb": round(peak() / 2**20),
        }
        emit("extract", **row)
        full = replace(compute, dtype=torch.float32)
        row["float32_bare"] = round(bare_rate(network, full, sizes.seconds) * len(compute.devices), 1)
        few = np.arange(2 if small else 16)
        of_dtype, of_float32, of_cpu = (
            all_features(source, network, few, one)
            for one in (compute, full, replace(full, devices=(CPU,), batch=min(CPU_BATCH, compute.batch)))
        )
        row |= {
            "least_cosine_to_float32": cosine(of_dtype, of_float32),
            "least_cosine_to_cpu": cosine(of_float32, of_cpu),
            "centred_cosine_to_cpu": cosine(of_dtype - of_cpu.mean(0), of_cpu - of_cpu.mean(0)),
        }
        emit("extract", **row)
    if not small:
        start = time.perf_counter()
        compiled = bare_rate(network, replace(compute, compile=True), sizes.seconds)
        row["compiled_bare"] = round(compiled * len(compute.devices), 1)
        row["compile_s"] = round(time.perf_counter() - start - sizes.seconds, 1)
        emit("extract", **row)
    for column, dtype in (("least_cosine_to_float32", row["dtype"]), ("least_cosine_to_cpu", "float32")):
        if row[column] < LEAST_COSINE[str(dtype)]:
            raise Failed(f"{name}: {column} {row[column]} is below {LEAST_COSINE[str(dtype)]} of {dtype}")


def bare_rate(network: LoadedBackbone, compute: Compute, seconds: float) -> float:
    """Images per second of the network alone on one device: one batch that lies there, again and again."""
    module, side = inference_module(network, compute).to(compute.devices[0]), network.preprocess.size
    module = torch.compile(module) if compute.compile else module
    images = torch.randn(compute.batch, 3, side, side, device=compute.devices[0])
    if network.convolutional:
        images = images.contiguous(memory_format=torch.channels_last)
    autocast = not compute.on_cpu and compute.dtype != torch.float32
    with torch.inference_mode(), torch.autocast(compute.devices[0].type, compute.dtype, enabled=autocast):
        module(images)
        module(images)
        wait()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            module(images)
            wait()
            count += compute.batch
        return count / (time.perf_counter() - start)

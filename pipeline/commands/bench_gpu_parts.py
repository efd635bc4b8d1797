"""The parts of `bench gpu`, each run in a process of its own by `bench_gpu`.

Networks have random weights, images and features are made here: no download, no data set. A part calls `emit` with each
row as soon as its numbers are known, and raises Failed at the end where a stated tolerance does not hold.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from features.backbones.registry import load_backbone
from heads.scoring import evaluate
from heads.settings import parse_head_settings
from heads.store import TrainedHead, dump_head
from heads.training.arrays import train_head
from heads.training.samplers import make_training_set
from pipeline.commands import bench_finetune, bench_heads, bench_ranking
from pipeline.commands.bench_gpu_extraction import NETWORKS, extraction
from pipeline.commands.bench_gpu_inputs import (
    SMALL,
    Emit,
    Failed,
    Missing,
    Sizes,
    all_features,
    compute_here,
    cosine,
    grouped_features,
    jpeg,
    write_images,
)
from pipeline.commands.bench_ranking import random_embeddings, ranks
from pipeline.commands.bench_turns import peak
from pipeline.devices import device

CPU = torch.device("cpu")
MOST_POINTS = 0.002  # of top-2 between devices: docs/reliability.md
SAME_HEAD = 0.999  # cosine of the embeddings of heads trained on two devices


def heads(emit: Emit, sizes: Sizes) -> None:
    """Seconds per epoch of a linear head, beside the plain loop and pytorch-metric-learning."""
    features, labels = grouped_features(sizes.rows, 512)
    settings = parse_head_settings({"features": "", "loss": "triplet", "negatives": "in_batch", "seeds": 1})
    chosen = make_training_set(np.arange(len(labels)), labels, None, images=2)
    for row in bench_heads.measure(features.to(device()), chosen, settings, rounds=sizes.rounds):
        emit("heads", **row, rows=len(labels), width=features.shape[1], peak_mb=round(peak() / 2**20))


def ranking(emit: Emit, sizes: Sizes) -> None:
    """Exact ranks of a large gallery, beside the bare matrix product; and that they are those of the CPU."""
    queries, few = sizes.queries, min(200, sizes.queries)
    embeddings = random_embeddings(queries + sizes.gallery, 320)
    row = bench_ranking.measure(embeddings, queries, rounds=sizes.rounds)
    off = np.abs(ranks(embeddings.to(device()), queries, most=few) - ranks(embeddings, queries, most=few)).max()
    emit("ranking", **row, most_ranks_off=int(off))
    if off > 1 + sizes.gallery / 1000:
        raise Failed(f"a rank differs from the CPU's by {off} of {sizes.gallery}")


def interchange(emit: Emit, sizes: Sizes) -> None:
    """Features and heads made on the card and on the CPU, each used with each: scores within the stated tolerance."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(sizes.groups), 6)
    network = load_backbone("Lite0", NETWORKS["Lite0"].model_copy(update={"pixels": 96}))
    with tempfile.TemporaryDirectory() as folder:
        patterns = rng.random((sizes.groups, 6, 6, 3))
        source = write_images(Path(folder) / "images.parquet", [jpeg(rng, patterns[label]) for label in labels])
        every = np.arange(len(labels))
        computes = {"cpu": compute_here(on=CPU), "card": compute_here()}
        features = {name: all_features(source, network, every, compute) for name, compute in computes.items()}
    train = torch.from_numpy(labels < sizes.groups // 2)
    settings = {"loss": "triplet", "epochs": 5, "batch": 64, "seeds": 1}

    def trained(on: torch.device) -> TrainedHead:
        return train_head(features["cpu"][train].to(on), labels[train.numpy()], settings, candidates=10)

    heads_by = {"cpu": trained(CPU), "card": trained(device())}
    again = dump_head(trained(device()))["head.safetensors"] == dump_head(heads_by["card"])["head.safetensors"]
    both = [heads_by[name].embeddings(features["cpu"])[0] for name in ("cpu", "card")]
    same_head = cosine(*both)
    worst, reference = 0.0, {}
    for head in ("cpu", "card"):
        for made in ("cpu", "card"):
            on = CPU if made == "cpu" else device()
            scores = evaluate(features[made][~train].to(on), labels[~train.numpy()], head=heads_by[head], candidates=10)
            reference.setdefault(head, scores["top2"].head)
            difference = abs(scores["top2"].head - reference[head])
            worst = max(worst, difference)
            emit(
                "interchange",
                features=made,
                head=head,
                top2=round(scores["top2"].head, 4),
                recall_at_1=round(scores["recall_at_1"].head, 4),
                difference=round(difference, 4),
                least_cosine_of_heads=same_head,
                same_bytes_twice=again,
            )
    if worst > MOST_POINTS:
        raise Failed(f"top-2 differs by {100 * worst:.2f} points between the features of two devices")
    if same_head < SAME_HEAD:
        raise Failed(f"heads of one seed trained on two devices: cosine {same_head} is below {SAME_HEAD}")
    if not again:
        raise Failed("a head of the same seed, trained twice on this device, has other bytes")


def finetuning(emit: Emit, sizes: Sizes) -> None:
    """Steps per second of a network trained here, beside a bare loop."""
    batch, steps = (8, 2) if sizes is SMALL else (256, 16)
    for name in bench_finetune.NETWORKS:
        row = bench_finetune.measure(name, batch, steps, sizes.rounds)
        emit("finetune", **row, peak_mb=round(peak() / 2**20))


def gpu_tests(emit: Emit, sizes: Sizes) -> None:
    """The tests marked `gpu`, which skip themselves without a card."""
    if not find_spec("pytest"):
        raise Missing("pytest")
    files = [str(path) for path in sorted(Path("tests").rglob("test_*.py")) if "mark.gpu" in path.read_text("utf-8")]
    options = ["-q", "-m", "gpu", "-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run([sys.executable, "-m", "pytest", *options, *files], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""]
    emit("tests", files=len(files), outcome=lines[-1].strip("= "))
    if done.returncode not in (0, 5):  # 5: none collected
        print(done.stdout[-4000:] + done.stderr[-2000:])
        raise Failed(lines[-1])


PARTS: dict[str, Callable[[Emit, Sizes], None]] = {
    "interchange": interchange,
    **{f"extract {name}": lambda emit, sizes, name=name: extraction(name, emit, sizes) for name in reversed(NETWORKS)},
    "heads": heads,
    "ranking": ranking,
    "tests": gpu_tests,
    "finetune": finetuning,
}

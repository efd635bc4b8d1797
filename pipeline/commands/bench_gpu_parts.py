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
from torch import Generator
from torch.nn.functional import normalize

from features.backbones.registry import load_backbone
from heads.metrics.ranking import rank_queries
from heads.models.base import Head
from heads.models.registry import build_head, projection_start
from heads.scoring import evaluate
from heads.settings import parse_head_settings
from heads.similarity import Similarity, embedding_similarity
from heads.store import TrainedHead, dump_head
from heads.training.arrays import train_head
from heads.training.samplers import make_training_set
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
    peak,
    reset_peak,
    seconds_of,
    write_images,
)
from pipeline.commands.bench_heads import library_contender, ours_contender, plain_contender
from pipeline.commands.bench_ranking import product
from pipeline.devices import device

CPU = torch.device("cpu")
MOST_POINTS = 0.002  # of top-2 between devices: docs/reliability.md
SAME_HEAD = 0.999  # cosine of the embeddings of heads trained on two devices


def heads(emit: Emit, sizes: Sizes) -> None:
    """Seconds per epoch of a linear head, beside the plain loop and pytorch-metric-learning."""
    features, labels = grouped_features(sizes.rows, 512)
    settings = parse_head_settings({"features": "", "loss": "triplet", "negatives": "in_batch", "seeds": 1})
    chosen, rows = make_training_set(np.arange(len(labels)), labels, None, images=2), features.to(device())
    start = projection_start(settings, features)

    def new_head() -> Head:
        return build_head(settings, rows.shape[1], Generator().manual_seed(0), start=start).to(device())

    contenders = {
        "ours": ours_contender(new_head, rows, chosen, settings, seeds=1),
        "plain loop": plain_contender(new_head(), rows, chosen, settings),
        "ours, 5 seeds": ours_contender(new_head, rows, chosen, settings, seeds=5),
    }
    if find_spec("pytorch_metric_learning"):
        contenders["pytorch-metric-learning"] = library_contender(new_head(), rows, chosen, settings)
    seconds = {name: [seconds_of(one.epoch) for _ in range(sizes.rounds)][1:] for name, one in contenders.items()}
    for name, each in seconds.items():
        median = float(np.median(each))
        emit(
            "heads",
            contender=name,
            rows=len(labels),
            width=rows.shape[1],
            batch=settings.batch,
            seconds_per_epoch=round(median, 4),
            times_ours=round(median / float(np.median(seconds["ours"])), 2),
            peak_mb=round(peak() / 2**20),
        )


def ranking(emit: Emit, sizes: Sizes) -> None:
    """Exact ranks of a large gallery, beside the bare matrix product; and that they are those of the CPU."""
    queries, gallery = sizes.queries, sizes.gallery
    embeddings = normalize(torch.randn(queries + gallery, 320, generator=Generator().manual_seed(0)))
    labels, rows = np.concatenate([np.arange(queries), np.arange(gallery)]), np.arange(queries + gallery)
    there = embeddings.to(device())
    similarity = embedding_similarity(there)
    reset_peak()

    def ranks(of: Similarity, most: int) -> np.ndarray:
        return rank_queries(of, labels, queries=rows[:most], gallery=rows[queries:]).higher

    products = [seconds_of(lambda: product(there[:queries], there[queries:])) for _ in range(sizes.rounds + 1)][1:]
    rankings = [seconds_of(lambda: ranks(similarity, queries)) for _ in range(sizes.rounds + 1)][1:]
    few = min(200, queries)
    off = np.abs(ranks(similarity, few) - ranks(embedding_similarity(embeddings), few))
    emit(
        "ranking",
        queries=queries,
        gallery=gallery,
        product_s=round(min(products), 4),
        ranking_s=round(min(rankings), 4),
        ratio=round(min(rankings) / min(products), 2),
        most_ranks_off=int(off.max()),
        peak_mb=round(peak() / 2**20),
    )
    if off.max() > 1 + gallery / 1000:
        raise Failed(f"a rank differs from the CPU's by {off.max()} of {gallery}")


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
    from pipeline.commands.bench_finetune import NETWORKS as SMALL_NETWORKS
    from pipeline.commands.bench_finetune import bare_round, our_round

    batch, steps = (8, 2) if sizes is SMALL else (256, 16)
    for name in SMALL_NETWORKS:
        bare, ours = bare_round(name, batch, steps), our_round(name, batch, steps)
        times = [(seconds_of(bare), seconds_of(ours)) for _ in range(sizes.rounds + 1)][1:]
        of_bare, of_ours = np.median(times, axis=0) / steps
        emit(
            "finetune",
            network=name,
            batch=batch,
            bare_steps_per_s=round(1 / of_bare, 2),
            our_steps_per_s=round(1 / of_ours, 2),
            times_bare=round(float(np.median([ours / bare for bare, ours in times])), 3),
            peak_mb=round(peak() / 2**20),
        )


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

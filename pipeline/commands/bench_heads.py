"""`python -m pipeline bench heads`: a linear head trained here, in a plain loop, and with pytorch-metric-learning.

All start from the same head and see the same pairs in batches of the same size, at the same learning rate. The plain
loop is what reports write: a DataLoader over (anchor, positive, 19 negatives), each encoded anew. A contender's time
to a score is that of the epochs up to the first that reaches it on val; scoring itself is not counted.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.tables.rows import read_rows
from features.storage.features_files import load_features
from heads.losses.similarity_losses import triplet
from heads.models.embedding_heads import Head
from heads.models.layers import generators
from heads.models.registry import build_head
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.training.batches import Feed, steps
from heads.training.loop import Validate
from heads.training.optimizer import AdamW
from heads.training.samplers import Pool, random_negatives
from heads.training.selection import epoch_score
from pipeline.machine import machine, write_rows
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder
from pipeline.splits import queries_and_gallery
from pipeline.training_rows import training_pool

OUT = Path("benchmarks/heads.csv")
NEGATIVES = 19
SEEDS = 5
Epoch = Callable[[Head, AdamW], None]  # one pass over the training rows


@dataclass(frozen=True)
class Result:
    seconds: list[float]  # of each epoch
    scores: list[float]  # val top-2 after each

    def until(self, score: float) -> float:
        """Seconds to the first epoch that reaches `score`; infinite if none does."""
        reached = [epoch for epoch, value in enumerate(self.scores) if value >= score]
        return sum(self.seconds[: reached[0] + 1]) if reached else float("inf")


def run(params: Params, *, epochs: int) -> None:
    """Time all contenders on the features of `head.features`, write the csv and print a line for each."""
    changes = {"model": "linear", "loss": "triplet", "distance": "cosine", "negatives": "in_batch", "seeds": 1}
    settings = params.head.model_copy(update=changes | {"images_per_group": 2, "noise": 0.0, "mixup": 0.0})
    rows = read_rows(dataset_folder(params) / "rows.parquet")
    features = load_features(features_folder(params, settings.features), images_hash=rows.images_hash)
    pool = training_pool(rows, settings)
    train = torch.from_numpy(features[pool.rows]).float()
    transform = fit_transform(settings.transform, train, components=settings.components, power=settings.whitening)
    inputs = transform(torch.from_numpy(features).float())
    queries, gallery = queries_and_gallery(rows, "val")
    validate = epoch_score(inputs, rows.labels, settings, queries=queries, gallery=gallery, candidates=20)
    contenders = {
        "ours": (settings, _ours(inputs, pool, settings)),
        "plain loop": (settings, _plain(inputs, pool, settings)),
        "pytorch-metric-learning": (settings, _library(inputs, pool, settings)),
    }
    several = settings.model_copy(update={"seeds": SEEDS})
    contenders[f"ours, {SEEDS} seeds"] = (several, _ours(inputs, pool, several))
    found = {
        name: _train(inputs, pool, chosen, epoch, validate if chosen.seeds == 1 else None, epochs)
        for name, (chosen, epoch) in contenders.items()
    }
    _say(found, params, settings)


def _say(found: dict[str, Result], params: Params, settings: HeadSettings) -> None:
    ours = found["ours"]
    reachable = min(max(result.scores) for result in found.values() if result.scores)
    table = []
    for name, result in found.items():
        epoch = float(np.median(result.seconds))
        until = result.until(reachable) if result.scores else None  # several seeds are timed, not scored
        row = {
            "contender": name,
            "dataset": params.data.name,
            "features": settings.features,
            "batch": settings.batch,
            "seconds_per_epoch": round(epoch, 4),
            "times_ours": round(epoch / float(np.median(ours.seconds)), 2),
            "val_top2": round(reachable, 4) if until else "",
            "seconds_to_it": round(until, 3) if until else "",
            "times_ours_to_it": round(until / ours.until(reachable), 2) if until else "",
            "threads": torch.get_num_threads(),
            "machine": machine(),
            "torch": torch.__version__,
        }
        table.append(row)
        reach = (
            f", {row['seconds_to_it']} s ({row['times_ours_to_it']}x) to val top-2 {row['val_top2']}" if until else ""
        )
        print(f"{name}: {row['seconds_per_epoch']} s an epoch ({row['times_ours']}x){reach}")
    write_rows(OUT, table)
    print(f"-> {OUT}")


def _train(
    inputs: Tensor, pool: Pool, settings: HeadSettings, epoch: Epoch, validate: Validate | None, epochs: int
) -> Result:
    draws = generators(0, settings.seeds)
    head = build_head(settings, inputs.shape[1], draws, train=inputs[torch.from_numpy(pool.rows)])
    optimizer = AdamW(head.parameters(), lr=settings.lr, weight_decay=0.0)
    result = Result([], [])
    for _ in range(epochs):
        start = time.perf_counter()
        epoch(head.train(), optimizer)
        result.seconds.append(time.perf_counter() - start)
        if validate:
            result.scores.append(validate(head.eval())[0])
    return result


def _step(optimizer: AdamW, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _ours(inputs: Tensor, pool: Pool, settings: HeadSettings) -> Epoch:
    pooled = inputs[torch.from_numpy(pool.rows)].unsqueeze(1)
    orders = [np.random.default_rng(seed) for seed in range(settings.seeds)]
    feed = Feed(pooled, pool, settings, generators(0, settings.seeds), orders)

    def epoch(head: Head, optimizer: AdamW) -> None:
        for step in steps(head, feed):
            _step(optimizer, triplet(*step.lists, margin=settings.loss_margin).sum())

    return epoch


class ExplicitPairs(Dataset):
    """(2 + 19, D): an anchor, its positive and random negatives, as reports feed them."""

    def __init__(self, inputs: Tensor, pool: Pool) -> None:
        order = (
            np.lexsort((pool.sides, pool.codes)) if pool.sides is not None else np.argsort(pool.codes, kind="stable")
        )
        self.pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        self.inputs, self.pool, self.draw = inputs[torch.from_numpy(pool.rows)], pool, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Tensor:
        pair = self.pairs[index]
        negatives = random_negatives(self.pool, pair[:1], NEGATIVES, self.draw)[0]
        return self.inputs[torch.from_numpy(np.r_[pair, negatives])]


def _plain(inputs: Tensor, pool: Pool, settings: HeadSettings) -> Epoch:
    loader = DataLoader(ExplicitPairs(inputs, pool), batch_size=settings.batch // 2, shuffle=True, drop_last=True)

    def epoch(head: Head, optimizer: AdamW) -> None:
        for x in loader:  # (A, 21, D)
            encoded = head.encode(x.flatten(0, 1).unsqueeze(0)).reshape(1, *x.shape[:2], -1)
            against = head.rowwise(encoded[:, :, 0], encoded[:, :, 1:])
            valid = torch.ones_like(against[:, :, 1:], dtype=torch.bool)
            _step(optimizer, triplet(against[:, :, :1], against[:, :, 1:], valid, margin=settings.loss_margin).sum())

    return epoch


def _library(inputs: Tensor, pool: Pool, settings: HeadSettings) -> Epoch:
    x, codes = inputs[torch.from_numpy(pool.rows)], torch.from_numpy(pool.codes)
    sampler = MPerClassSampler(codes, m=2, batch_size=settings.batch, length_before_new_iter=len(codes))
    miner = TripletMarginMiner(margin=settings.loss_margin, type_of_triplets="all")
    loss_of = TripletMarginLoss(margin=settings.loss_margin)

    def batches() -> Iterator[Tensor]:
        order = torch.tensor(list(iter(sampler)))
        return iter(order.split(settings.batch))

    def epoch(head: Head, optimizer: AdamW) -> None:
        for rows in batches():
            if len(rows) == settings.batch:
                encoded = head.encode(x[rows].unsqueeze(0))[0]
                _step(optimizer, loss_of(encoded, codes[rows], miner(encoded, codes[rows])))

    return epoch

"""`python -m pipeline bench heads`: a linear head trained here, in a plain loop, and with pytorch-metric-learning.

All start from the same head and see the same pairs in batches of the same size, at the same learning rate. The plain
loop is what reports write: a DataLoader over (anchor, positive, 19 negatives), each encoded anew. The score on val
after all rounds shows that they learn alike.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from data.tables.rows import read_rows
from features.storage.features_files import load_features
from heads.losses.registry import build_loss
from heads.losses.similarity_losses import triplet
from heads.models.base import Head
from heads.models.registry import build_head, projection_start
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.training.batches import EpochInputs
from heads.training.loop import train_epoch
from heads.training.optimizer import AdamW, ParameterGroup
from heads.training.samplers import TrainingSet, random_negatives
from heads.training.seeds import for_each_seed
from heads.training.selection import epoch_score
from pipeline.commands.bench_turns import median, ratio, take_turns, write_table
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder
from pipeline.shared.splits import queries_and_gallery
from pipeline.shared.training_rows import training_set

OUT = Path("benchmarks/heads.csv")
NEGATIVES = 19
SEEDS = 5
OURS = "ours"


class Contender(NamedTuple):
    epoch: Callable[[], None]  # one pass over the training rows
    head: Head  # of several seeds the first


def run(params: Params, *, epochs: int) -> None:
    """Time all contenders on the features of `head.features`."""
    changes = {"model": "linear", "loss": "triplet", "distance": "cosine", "negatives": "in_batch", "seeds": 1}
    settings = params.head.model_copy(update=changes | {"images_per_group": 2, "noise": 0.0})
    rows = read_rows(dataset_folder(params) / "rows.parquet")
    features = load_features(features_folder(params, settings.features), images_hash=rows.images_hash)
    chosen = training_set(rows, settings)
    train = torch.from_numpy(features[chosen.rows]).float()
    transform = fit_transform(settings.transform, train, components=settings.components, power=settings.whitening)
    inputs = transform(torch.from_numpy(features).float())
    queries, gallery = queries_and_gallery(rows, "val")
    validate = epoch_score(inputs, rows.labels, settings, queries=queries, gallery=gallery, candidates=20)
    measured = measure(inputs[torch.from_numpy(chosen.rows)], chosen, settings, rounds=epochs, validate=validate)
    where = {"dataset": params.data.name, "features": settings.features}
    write_table(OUT, [where | row for row in measured])


def measure(
    rows: Tensor,
    chosen: TrainingSet,
    settings: HeadSettings,
    *,
    rounds: int,
    validate: Callable[[Head], float] | None = None,
) -> list[dict[str, object]]:
    """An epoch of each contender per round; a row of the csv for each. `validate`: the val score after all rounds."""
    start = projection_start(settings, rows)

    def new_head() -> Head:
        return build_head(settings, rows.shape[1], Generator().manual_seed(0), start=start).to(rows.device)

    contenders = {
        OURS: ours_contender(new_head, rows, chosen, settings, seeds=1),
        "plain loop": plain_contender(new_head(), rows, chosen, settings),
        f"{OURS}, {SEEDS} seeds": ours_contender(new_head, rows, chosen, settings, seeds=SEEDS),
    }
    if find_spec("pytorch_metric_learning"):
        contenders["pytorch-metric-learning"] = library_contender(new_head(), rows, chosen, settings)
    seconds = take_turns({name: one.epoch for name, one in contenders.items()}, rounds)
    return [
        {
            "contender": name,
            "batch": settings.batch,
            "seconds_per_epoch": median(seconds, name),
            "times_ours": ratio(seconds, name, OURS),
            **({"val_top2": round(validate(one.head.eval()), 4)} if validate else {}),
        }
        for name, one in contenders.items()
    ]


def ours_contender(
    new_head: Callable[[], Head], rows: Tensor, chosen: TrainingSet, settings: HeadSettings, *, seeds: int
) -> Contender:
    """`train_epoch` of each seed, as `heads.training.seeds` runs them."""
    heads = [new_head() for _ in range(seeds)]
    losses = [build_loss(settings, head, rows, chosen.labels, rng=Generator()) for head in heads]
    optimizers = [AdamW(ParameterGroup(list(head.parameters()))) for head in heads]
    inputs = [
        EpochInputs(rows.unsqueeze(1), chosen, settings, Generator(), np.random.default_rng(seed))
        for seed in range(seeds)
    ]

    def one(seed: int, report: Callable[[int, float], None]) -> None:
        train_epoch(heads[seed].train(), losses[seed], inputs[seed], optimizers[seed], lr=settings.lr, report=report)

    def epoch() -> None:
        for_each_seed(one, seeds, report=lambda batches, loss: None, device=rows.device)

    return Contender(epoch, heads[0])


def _step(optimizer: AdamW, loss: Tensor, settings: HeadSettings) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step(settings.lr)


class ExplicitPairs(Dataset):
    """(2 + 19, D): an anchor, its positive and random negatives, as reports feed them."""

    def __init__(self, rows: Tensor, chosen: TrainingSet) -> None:
        order = np.argsort(chosen.labels, kind="stable")
        if chosen.sides is not None:
            order = np.lexsort((chosen.sides, chosen.labels))
        self.pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        self.rows, self.chosen, self.rng = rows, chosen, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Tensor:
        pair = self.pairs[index]
        negatives = random_negatives(self.chosen, pair[:1], NEGATIVES, self.rng)[0]
        return self.rows[torch.from_numpy(np.r_[pair, negatives])]


def plain_contender(head: Head, rows: Tensor, chosen: TrainingSet, settings: HeadSettings) -> Contender:
    loader = DataLoader(ExplicitPairs(rows.cpu(), chosen), batch_size=settings.batch // 2, shuffle=True, drop_last=True)
    optimizer = AdamW(ParameterGroup(list(head.parameters())))

    def epoch() -> None:
        head.train()
        for x in loader:  # (A, 21, D)
            x = x.to(rows.device)
            embeddings = head(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            similarity = head.elementwise(embeddings[:, :1], embeddings[:, 1:])  # (A, 20), the positive first
            positives = torch.zeros_like(similarity, dtype=torch.bool)
            positives[:, 0] = True
            _step(optimizer, triplet(similarity, positives, ~positives, margin=settings.loss_margin), settings)

    return Contender(epoch, head)


def library_contender(head: Head, rows: Tensor, chosen: TrainingSet, settings: HeadSettings) -> Contender:
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.samplers import MPerClassSampler

    labels = torch.from_numpy(chosen.labels).to(rows.device)
    sampler = MPerClassSampler(chosen.labels, m=2, batch_size=settings.batch, length_before_new_iter=len(labels))
    miner = TripletMarginMiner(margin=settings.loss_margin, type_of_triplets="all")
    loss_of = TripletMarginLoss(margin=settings.loss_margin)
    optimizer = AdamW(ParameterGroup(list(head.parameters())))

    def epoch() -> None:
        head.train()
        for places in torch.tensor(list(iter(sampler))).split(settings.batch):
            if len(places) == settings.batch:
                embeddings = head(rows[places])
                loss = loss_of(embeddings, labels[places], miner(embeddings, labels[places]))
                _step(optimizer, loss, settings)

    return Contender(epoch, head)

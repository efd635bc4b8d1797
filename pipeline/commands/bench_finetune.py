"""`python -m pipeline bench finetune`: steps a second of a network trained here, against a bare loop.

The bare loop is as short as it can be written: images on the device, a batch by index, normalised, through the network,
InfoNCE of blocks of two, AdamW. Ours adds what a training needs: batches of groups, lists that know who is alike,
the loss for any negatives, augmentation where asked for, progress. Images are noise: no data set is needed, and a step
costs the same.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from features.backbones.registry import LoadedBackbone, load_backbone
from features.finetuning.pixels import Pixels
from features.finetuning.settings import Finetune
from features.finetuning.train import NetworkAsHead, TrainingInputs
from features.freed_memory import keep_freed_memory
from heads.losses.registry import build_loss
from heads.models.base import Head
from heads.training.batches import EpochInputs
from heads.training.loop import train_epoch
from heads.training.optimizer import AdamW, ParameterGroup
from heads.training.samplers import make_training_set
from pipeline.commands.bench_turns import median, ratio, take_turns, write_table
from pipeline.devices import device

OUT = Path("benchmarks/finetune.csv")
NETWORKS = ("conv4", "cifar_resnet20")
TEMPERATURE, LR = 0.1, 1e-3


def run(*, batch: int, steps: int, rounds: int) -> None:
    keep_freed_memory()
    write_table(OUT, (measure(name, batch, steps, rounds) for name in NETWORKS))


def measure(name: str, batch: int, steps: int, rounds: int) -> dict[str, object]:
    """`rounds` turns of `steps` steps of each; a row of the csv."""
    seconds = take_turns({"bare": bare_round(name, batch, steps), "ours": our_round(name, batch, steps)}, rounds)
    return {
        "network": name,
        "batch": batch,
        "bare_steps_per_s": round(steps / median(seconds, "bare"), 2),
        "our_steps_per_s": round(steps / median(seconds, "ours"), 2),
        "times_bare": ratio(seconds, "ours", "bare"),
        "rounds": rounds,
    }


def loaded(name: str) -> tuple[LoadedBackbone, nn.Module, Tensor]:
    """The network, and noise for it: (n, 3, S, S) uint8 on the device."""
    entry = Finetune.model_validate({"network": {"library": "local", "model": name, "weights": "random"}})
    base = load_backbone(name, entry.network)
    side = base.preprocess.size
    images = torch.randint(256, (1024, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return base, base.module.to(device()).to(memory_format=torch.channels_last), images.to(device())


def bare_round(name: str, batch: int, steps: int) -> Callable[[], None]:
    base, network, images = loaded(name)
    mean, std = (
        torch.tensor(v, device=device()).view(3, 1, 1) * 255 for v in (base.preprocess.mean, base.preprocess.std)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, fused=True)
    partner = torch.arange(batch, device=device()).view(-1, 2).flip(1).flatten()
    itself = torch.eye(batch, dtype=torch.bool, device=device())

    def turn() -> None:
        network.train()
        order = torch.randperm(len(images), device=device())
        for step in range(steps):
            rows = order[step * batch % (len(images) - batch) :][:batch]
            x = ((images[rows].float() - mean) / std).contiguous(memory_format=torch.channels_last)
            encoded = normalize(network(x), dim=1)
            logits = (encoded @ encoded.T / TEMPERATURE).masked_fill(itself, -torch.inf)
            loss = cross_entropy(logits, partner)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return turn


def our_round(name: str, batch: int, steps: int) -> Callable[[], None]:
    entry = Finetune.model_validate(
        {
            "network": {"library": "local", "model": name, "weights": "random"},
            **{"loss": "infonce", "temperature": TEMPERATURE, "batch": batch, "lr": LR, "precision": "float32"},
        }
    )
    base, network, images = loaded(name)
    settings = entry.objective
    rows = np.tile(np.arange(len(images)), -(-steps * batch // len(images)))[: steps * batch]
    training_set = make_training_set(rows, np.arange(len(rows)) // 2, None, images=2)
    pixels = Pixels(images, torch.arange(len(images), device=device()), device())
    rng = torch.Generator().manual_seed(0)
    inputs = TrainingInputs(network, base.preprocess, pixels, training_set, [], base.convolutional)
    head = NetworkAsHead(inputs, entry, Head("cosine"), rng)
    table = torch.from_numpy(training_set.rows).to(device())[:, None]
    loss = build_loss(settings, head, table, training_set.labels, rng=rng).to(device())
    optimizer = AdamW(ParameterGroup(list(head.parameters())), ParameterGroup(list(loss.parameters())))
    epoch = EpochInputs(table[:, None], training_set, settings, rng, np.random.default_rng(0))
    return lambda: train_epoch(head.train(), loss, epoch, optimizer, lr=LR) and None

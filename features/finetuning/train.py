"""Train a network on images with the training loop, the losses and the batches of heads.

In that loop a network is a head whose inputs are row numbers: `forward` reads their pixels, augments them in training,
and applies the network. So batches, masks, mining, losses, early stopping and resuming are the same code.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from data.files.atomic import write_bytes
from features.backbones.preprocess import Preprocess
from features.backbones.projection import WithProjection
from features.finetuning.augment import augment, rotate
from features.finetuning.pca_init import init_with_pca
from features.finetuning.pixels import Pixels
from features.finetuning.settings import Finetune
from heads.errors import HeadError
from heads.losses.registry import build_loss
from heads.models.base import Head
from heads.models.registry import build_head, projection_start
from heads.settings import HeadSettings
from heads.training.batches import EpochInputs
from heads.training.determinism import deterministic
from heads.training.loop import Report, Trained, Validate, train
from heads.training.samplers import TrainingSet

CHUNK = 128  # images at once without gradients
SAMPLE = 2048  # training images that a projection or a head on top starts from


@dataclass(frozen=True)
class TrainingInputs:
    """A network, its training images and how they are preprocessed."""

    network: nn.Module  # (B, 3, S, S) -> (B, D), on its device
    preprocess: Preprocess
    pixels: Pixels
    training_set: TrainingSet
    frozen: list[nn.Module]  # modules that stay in eval mode (freeze_layers)
    convolutional: bool


class NetworkAsHead(Head):
    """Row numbers (B, 1) -> embeddings (B, E): the network on their images, then `head`."""

    def __init__(self, inputs: TrainingInputs, entry: Finetune, head: Head, rng: Generator) -> None:
        super().__init__(head.distance)
        self.network, self.head, self.embeds = inputs.network, head, head.embeds
        self._inputs, self._entry, self._rng = inputs, entry, rng
        self._autocast = forward_dtype(entry.precision, inputs.pixels.device)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.features(rows[:, 0]))

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head.pairwise(a, b)

    def elementwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head.elementwise(a, b)

    def sqrt_membership(self, embeddings: Tensor) -> Tensor:
        return self.head.sqrt_membership(embeddings)

    def train(self, mode: bool = True) -> "NetworkAsHead":
        super().train(mode)
        for module in self._inputs.frozen:
            module.eval()
        return self

    def features(self, rows: Tensor) -> Tensor:
        """Rows (B,) -> (B, D) float32: augmented and at once in training, in chunks otherwise."""
        if self.training:
            return self._through_network(augment(self._pixels(rows), self._entry.augment, self._rng))
        with torch.no_grad():
            return torch.cat([self._through_network(self._pixels(part)) for part in rows.split(CHUNK)])

    def _pixels(self, rows: Tensor) -> Tensor:
        """Rows (B,) -> (B, C, S, S) uint8; rows past the last are rotated images."""
        pixels = self._inputs.pixels
        if not self._entry.augment.rotations:
            return pixels.take(rows)
        total = len(pixels.place)
        return rotate(pixels.take(rows % total), rows // total)

    def _through_network(self, images: Tensor) -> Tensor:
        x = self._inputs.preprocess.normalise(images.expand(-1, 3, -1, -1), torch.float32)
        if self._inputs.convolutional:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, self._autocast, enabled=self._autocast != torch.float32):
            return self.network(x).float()


def train_network(
    inputs: TrainingInputs,
    entry: Finetune,
    *,
    seed: int,
    where: str = "finetunes",
    validator: Callable[[HeadSettings], Validate],
    checkpoint: Path | None = None,
    report: Report = lambda batches, loss: None,
) -> Trained:
    """Train until the val score stops improving; `inputs.network` ends with the weights of the best epoch. Epoch 0 is
    the loaded network with the initial projection of `dim`.

    Every epoch has its own generators, seeded by `seed` and its number: an interrupted run resumes from the last epoch
    in `checkpoint` and ends with the same weights.

    Raises:
        HeadError: the loss is no longer a number; the GPU has too little memory.
    """
    settings, training_set = entry.objective, inputs.training_set.numbered()
    device, rng = inputs.pixels.device, Generator()
    rows = torch.from_numpy(training_set.rows).to(device)[:, None]  # (n, 1): the inputs are row numbers
    with deterministic(device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _reseed(rng, seed, 0)
        head = network_as_head(inputs, entry, rows, groups=training_set.groups, rng=rng)
        loss = build_loss(settings, head, rows, training_set.labels, rng=rng).to(device)

        def epoch_inputs(epoch: int) -> EpochInputs:
            _reseed(rng, seed, epoch)
            return EpochInputs(rows[:, None], training_set, settings, rng, np.random.default_rng([seed, epoch]))

        try:
            return train(
                head,
                loss,
                epoch_inputs,
                settings,
                validate=validator(settings),
                kept=inputs.network,
                where=where,
                checkpoint=checkpoint.read_bytes() if checkpoint and checkpoint.exists() else None,
                save=None if checkpoint is None else lambda content: write_bytes(checkpoint, content),
                report=report,
            )
        except torch.OutOfMemoryError as error:
            raise HeadError(
                f"{where}: {settings.batch} images at once do not fit into the GPU's memory: lower {where}.batch"
            ) from error


def network_as_head(
    inputs: TrainingInputs, entry: Finetune, rows: Tensor, *, groups: int, rng: Generator
) -> NetworkAsHead:
    """The network with the initial projection and the initial head on top, computed from its outputs for a sample of
    the images of `rows` (n, 1).
    """
    settings = entry.objective
    if entry.dim is not None:
        assert isinstance(inputs.network, WithProjection), "`with_projection` puts a linear layer of `dim` on top"
        without = replace(inputs, network=inputs.network.network)
        init_with_pca(inputs.network.projection, _features(without, entry, _sample(rows, rng)))
    features = _features(inputs, entry, _sample(rows, rng)).cpu()
    start = projection_start(settings, features)
    head = build_head(settings, features.shape[1], rng, start=start, groups=groups).to(rows.device)
    return NetworkAsHead(inputs, entry, head, rng)


def _features(inputs: TrainingInputs, entry: Finetune, rows: Tensor) -> Tensor:
    return NetworkAsHead(inputs, entry, Head(entry.distance), Generator()).eval().features(rows)


def _sample(rows: Tensor, rng: Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=rng)[:SAMPLE].to(rows.device), 0]


def forward_dtype(precision: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 on a GPU with units for it, else float32; float16 would need scaled losses."""
    if precision != "auto":
        return getattr(torch, precision)
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def _reseed(rng: Generator, seed: int, epoch: int) -> None:
    """Seed `rng` (augmentation, dropout of the head) and torch's generator (dropout of networks)."""
    number = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    rng.manual_seed(number)
    torch.manual_seed(number)

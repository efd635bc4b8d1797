"""Train a network on images with the losses, batches and negatives of heads.

To the code of heads a network is a head whose inputs are row numbers: `encode` takes them to pixels, moves the images
about, and sends them through the network. So steps, lists, mining and losses are the very same code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from features.backbones.preprocess import Preprocess
from features.errors import FeatureError
from features.finetuning.augment import augment, turn
from features.finetuning.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from features.finetuning.pca_init import start_as_heads
from features.finetuning.pixels import Pixels
from features.finetuning.settings import Finetune
from heads.losses.registry import build_loss
from heads.models.embedding_heads import Head
from heads.models.registry import build_head
from heads.settings import HeadSettings
from heads.training.batches import Feed, steps
from heads.training.collapse import Health, alarms, health
from heads.training.loop import Validate, rate, record
from heads.training.samplers import Pool

CHUNK = 128  # images at once where no gradient is kept
SAMPLE = 2048  # training images that a layer or a head on top starts from
REPORT = 10  # steps between two words of progress: reading a loss makes a GPU wait
Progress = Callable[[int, float], None]  # steps, loss
Embed = Callable[[Tensor, bool], Tensor]  # rows (B,), in training? -> (B, D)


@dataclass(frozen=True)
class Material:
    """What a network trains on and with. `frozen`: modules that stay in eval mode (freeze_layers)."""

    network: nn.Module  # (B, 3, S, S) -> (B, D), on its device
    preprocess: Preprocess
    pixels: Pixels
    pool: Pool
    frozen: list[nn.Module]
    convolutional: bool


@dataclass(frozen=True)
class TrainedNetwork:
    """`network` holds the best epoch; `history` has a row an epoch."""

    network: nn.Module
    history: list[dict[str, float]]
    best: int
    alarms: list[str]
    resumed: int  # epochs that an earlier run had done


class ImageHead(Head):
    """`head` on top of what `embed` makes of images. Its inputs are row numbers (1, B, 1).

    `embed` is a function and no module: a classifier of pairs is copied to be scored, and the network is not.
    """

    def __init__(self, head: Head, embed: Embed) -> None:
        super().__init__(head.distance)
        self.head, self.embeds, self._embed = head, head.embeds, embed

    def encode(self, x: Tensor) -> Tensor:
        return self.head.encode(self._embed(x[0, :, 0], self.training)[None])

    def block(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head.block(a, b)

    def rowwise(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head.rowwise(a, b)


def steps_per_epoch(pool: Pool, settings: HeadSettings) -> int:
    """As `heads.batches.epoch_batches` cuts them."""
    blocks = int((np.unique(pool.codes, return_counts=True)[1] // settings.images_per_group).sum())
    return blocks // min(settings.batch // settings.images_per_group, blocks)


def train_network(
    material: Material,
    entry: Finetune,
    *,
    seed: int,
    validator: Callable[[HeadSettings], Validate],
    checkpoint: Path | None = None,
    progress: Progress = lambda steps, loss: None,
) -> TrainedNetwork:
    """Train until val stops getting better, and hold the best epoch; epoch 0 is the network as it came, with the linear
    layer of `dim` where it starts.

    Every epoch draws from generators of its own, made from `seed` and its number: a run that was killed goes on from
    the last epoch in `checkpoint` and ends with the same bytes.

    Raises:
        FeatureError: the loss is no longer a number. HeadError: as `heads.training`.
    """
    settings, pool, network = entry.objective, material.pool, material.network
    pool = replace(pool, codes=np.unique(pool.codes, return_inverse=True)[1])
    device = material.pixels.device
    draw = torch.Generator()
    rows = torch.from_numpy(pool.rows).to(device)[:, None]  # (n, 1): what stands for the images
    embed = embedder(material, entry, draw)
    with deterministic(device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _reseed(draw, seed, 0)
        if entry.dim is not None:
            bare = embedder(replace(material, network=network.network), entry, draw)
            start_as_heads(network.top, bare(_some(rows, draw), False))
        head = ImageHead(_head_on_top(settings, embed, rows, draw, pool.groups), embed).to(device)
        loss_of = build_loss(settings, head, rows, pool.codes, draws=[draw]).to(device)
        parts = nn.ModuleDict({"network": network, "head": head.head, "loss": loss_of})
        decayed = [p for part in (network, head) for p in part.parameters() if p.requires_grad]
        groups = [{"params": decayed}, {"params": list(loss_of.parameters()), "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        validate = validator(settings)
        state = read_checkpoint(checkpoint, parts, optimizer, patience=settings.patience) if checkpoint else None
        if state is None:
            score = validate(head.eval())[0]
            history = [record(0, 0, nan, score, settings)]
            state = Checkpoint(epoch=0, waited=0, history=history, best=0, best_score=score, best_state=_copy(network))
        resumed, total = state.epoch, steps_per_epoch(pool, settings)
        if resumed:
            progress(resumed * total, state.history[-1]["loss"])
        feed = Feed(rows[:, None], pool, settings, [draw], [np.random.default_rng(0)])
        for epoch in range(resumed + 1, settings.epochs + 1):
            if state.epoch - state.best >= settings.patience:
                break
            _reseed(draw, seed, epoch)
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * rate(epoch, settings)
            feed = replace(feed, orders=[np.random.default_rng([seed, epoch])])
            loss, life = run_epoch(head.train(), loss_of, feed, optimizer, progress)
            if not np.isfinite(loss):
                raise FeatureError(f"the loss became {loss} in epoch {epoch}: lower the finetune's lr")
            score = validate(head.eval())[0]
            better = score > state.best_score
            state = Checkpoint(
                epoch=epoch,
                waited=max(state.waited, state.epoch - state.best),
                history=[*state.history, record(0, epoch, loss, score, settings, life=life)],
                best=epoch if better else state.best,
                best_score=score if better else state.best_score,
                best_state=_copy(network) if better else state.best_state,
            )
            if checkpoint:
                write_checkpoint(checkpoint, state, parts, optimizer)
    network.load_state_dict(state.best_state)
    said = alarms(state.history, loss=settings.loss, margin=settings.loss_margin)
    return TrainedNetwork(network.eval(), state.history, state.best, said, resumed)


def embedder(material: Material, entry: Finetune, draw: torch.Generator) -> Embed:
    """Rows (B,), training -> (B, D) float32: moved about and at once in training, plain and by chunks otherwise."""
    pixels, device = material.pixels, material.pixels.device
    low = forward_dtype(entry.precision, device)

    def take(rows: Tensor) -> Tensor:
        if not entry.augment.rotations:
            return pixels.take(rows)
        total = len(pixels.place)
        return turn(pixels.take(rows % total), rows // total)

    def forward(squares: Tensor) -> Tensor:
        x = material.preprocess.normalise(squares.expand(-1, 3, -1, -1), torch.float32)
        if material.convolutional:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, low, enabled=low != torch.float32):
            return material.network(x).float()

    def embed(rows: Tensor, training: bool) -> Tensor:
        material.network.train(training)
        if not training:
            with torch.no_grad():
                return torch.cat([forward(take(part)) for part in rows.split(CHUNK)])
        for module in material.frozen:
            module.eval()
        return forward(augment(take(rows), entry.augment, draw))

    return embed


def forward_dtype(precision: str, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 on a GPU with units for it: float16 would need its losses scaled."""
    if precision != "auto":
        return getattr(torch, precision)
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """GPU kernels that add in one order, where there are such; a CPU's always do."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def _head_on_top(settings: HeadSettings, embed: Embed, rows: Tensor, draw: torch.Generator, groups: int) -> Head:
    """Its linear path starts on the main directions of what the network gives at first."""
    start = embed(_some(rows, draw), False).cpu()
    return build_head(settings, start.shape[1], [draw], train=start, groups=groups)


def _some(rows: Tensor, draw: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=draw)[:SAMPLE].to(rows.device), 0]


def _reseed(draw: torch.Generator, seed: int, epoch: int) -> None:
    """The generator that augments and drops, and torch's own, which networks' dropout draws from."""
    number = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    draw.manual_seed(number)
    torch.manual_seed(number)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def run_epoch(
    head: Head, loss_of: nn.Module, feed: Feed, optimizer: torch.optim.Optimizer, progress: Progress
) -> tuple[float, Health]:
    """One pass: the mean loss, and the last step's signs of life."""
    total, count = torch.zeros((), device=feed.pooled.device), 0
    for step in steps(head, feed):
        loss = loss_of(step).sum()  # of one seed
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, count = total + loss.detach(), count + 1
        if count % REPORT == 0:
            progress(REPORT, loss.item())
    progress(count % REPORT, loss.item())
    return total.item() / count, health(step.lists, feed.settings.loss_margin)

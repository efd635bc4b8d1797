"""Heads of several seeds on the same cached features, one seed per core.

A seed runs on one thread with its own generators: it gives the same head alone or beside others. A second thread would
change its last bits; it makes one head faster on an idle machine alone, and many times slower on a busy one.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Generator, Tensor

from heads.losses.registry import build_loss
from heads.models.registry import build_head, projection_start
from heads.settings import HeadSettings
from heads.training.batches import EpochInputs
from heads.training.determinism import deterministic
from heads.training.loop import Report, Trained, Validate, train
from heads.training.samplers import TrainingSet

T = TypeVar("T")


def train_heads(
    inputs: Tensor,
    training_set: TrainingSet,
    settings: HeadSettings,
    *,
    seed: int,
    validate: Validate,
    views: Tensor | None = None,
    report: Report = lambda batches, loss: None,
) -> list[Trained]:
    """Train `settings.seeds` heads, of seeds `seed`, `seed + 1`, ..., on transformed features `inputs` (N, D) float32.

    Args:
        inputs: on the device that computes.
        validate: called with each head after each of its epochs, from several threads at once.
        views: (N, V, D), where features hold several views per image: one is drawn whenever a row is used. Validation
            sees `inputs` alone.
        report: called with batches done and a loss, from several threads.

    Raises:
        HeadError: the loss is no longer a number.
    """
    training_set = training_set.numbered()
    rows = torch.from_numpy(training_set.rows).to(inputs.device)
    views = inputs if views is None else views
    of_training = views.reshape(len(views), -1, inputs.shape[1])[rows]  # (n, V, D)
    start = projection_start(settings, inputs[rows].cpu())

    def one(number: int, report: Report) -> Trained:
        rng, order_rng = Generator().manual_seed(seed + number), np.random.default_rng(seed + number)
        head = build_head(settings, inputs.shape[1], rng, start=start, groups=training_set.groups).to(inputs.device)
        loss = build_loss(settings, head, of_training[:, 0], training_set.labels, rng=rng).to(inputs.device)
        epoch = EpochInputs(of_training, training_set, settings, rng, order_rng)
        return train(head, loss, lambda _: epoch, settings, validate=validate, seed=number, report=report)

    with deterministic(inputs.device):
        return for_each_seed(one, settings.seeds, report=report, device=inputs.device)


class Cancelled(Exception):
    """Another seed failed, or the run was interrupted."""


def for_each_seed(one: Callable[[int, Report], T], count: int, *, report: Report, device: torch.device) -> list[T]:
    """[one(0, report), ..., one(count - 1, report)]: on a CPU each on one thread, several at once;
    on a GPU one after the other.

    The first exception is raised, and the seeds that still run stop at their next report.
    """
    threads = torch.get_num_threads()
    stop = threading.Event()

    def checked(batches: int, loss: float) -> None:
        if stop.is_set():
            raise Cancelled
        report(batches, loss)

    # More at once than cores: else a core waits while the last seed computes.
    at_once = min(count, 2 * threads + 1) if device.type == "cpu" else 1
    try:
        with ThreadPoolExecutor(at_once, initializer=_single_threaded, initargs=(device,)) as pool:
            futures = [pool.submit(one, number, checked) for number in range(count)]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)  # a thread's setting holds for threads that start later


def _single_threaded(device: torch.device) -> None:
    if device.type == "cpu":
        torch.set_num_threads(1)

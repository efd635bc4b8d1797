"""Any loss of pytorch-metric-learning, by its own class name and with its own arguments."""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from pytorch_metric_learning import losses as library
from pytorch_metric_learning.distances import CosineSimilarity
from torch import Generator, Tensor, nn

from heads.errors import HeadError, nearest_or_known
from heads.settings import HeadSettings
from heads.training.batches import Batch

T = TypeVar("T")
GLOBAL_RNG = threading.Lock()
Arguments = dict[str, float | int | bool | str]

# Arguments of constructors that are known from the training set, so that `loss_args` need not have them.
KNOWN = {
    "num_classes": "groups",
    "embedding_size": "width",
    "descriptors_dim": "width",
}


# Times head.lr, for what a loss learns itself: proxies, class weights (Kim et al. 2020 take 100 for proxies).
PROXY_LR_SCALE = 100.0
CLOSEST = 1 - 1e-6  # cosines beyond are rounding: they break histograms, and the gradient of their angle is infinite


class ClampedCosine(CosineSimilarity):
    """The library's cosine, never beyond 1."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        return super().compute_mat(query_emb, ref_emb).clamp(-CLOSEST, CLOSEST)


class LibraryLoss(nn.Module):
    """Batch -> scalar: the library's loss of the embeddings (B, E) and labels (B,).

    Parameters of its own (proxies, class weights) train with the head. The library draws from torch's global
    generator: during the call it has the state of `rng`, so that a seed gives the same head alone or beside others.

    Args:
        means: (C, E) the mean embedding of each group, where proxies start.
    """

    lr_scale = PROXY_LR_SCALE

    def __init__(self, settings: HeadSettings, *, means: Tensor, rng: Generator) -> None:
        super().__init__()
        kind = getattr(library, settings.loss)
        arguments = _arguments(kind, settings, {"groups": len(means), "width": means.shape[1]})
        self.name, self.rng = settings.loss, rng
        with refusals("head.loss_args", self.name):
            self.loss = with_global_rng(rng, lambda: kind(**arguments))
        if type(self.loss.distance) is CosineSimilarity:
            self.loss.distance = ClampedCosine()
        for name, value in list(vars(self.loss).items()):
            if isinstance(value, Tensor):  # MarginLoss's beta: as a buffer it moves to the loss's device
                delattr(self.loss, name)
                self.loss.register_buffer(name, value, persistent=False)
        proxies = getattr(self.loss, "proxies", None)
        if isinstance(proxies, nn.Parameter) and proxies.shape == means.shape:
            with torch.no_grad():
                proxies.copy_(means)

    def forward(self, batch: Batch) -> Tensor:
        with refusals("head.loss", self.name):
            return with_global_rng(self.rng, lambda: self.loss(batch.embeddings, batch.labels))


def with_global_rng(rng: Generator, call: Callable[[], T]) -> T:
    """call() with torch's global generator in the state of `rng`. Afterwards `rng` has the new state and the global
    generator its old one.

    One thread at a time: seeds train in parallel and share the global generator.
    """
    with GLOBAL_RNG, torch.random.fork_rng(devices=[]):
        torch.set_rng_state(rng.get_state())
        result = call()
        rng.set_state(torch.get_rng_state())
    return result


@contextmanager
def refusals(key: str, name: str) -> Iterator[None]:
    """Any exception of a loss (an argument's type or value, groups of unequal size in a batch) as a HeadError."""
    try:
        yield
    except HeadError:
        raise
    except Exception as error:
        reason = (
            " ".join(str(error).split())
            or f"{type(error).__name__} without a reason: it cannot be used with these data"
        )
        raise HeadError(f"{key}: {name}: {reason[:300]}") from None


def argument_names(kind: type) -> dict[str, bool]:
    """Plain arguments of a loss's constructor and of those of its bases -> whether they are required."""
    names: dict[str, bool] = {}
    for base in kind.__mro__:
        if base is library.BaseMetricLossFunction:
            break  # from here on: distances, reducers and regularisers, which are objects
        if base.__name__.endswith("Mixin") or base is library.GenericPairLoss or "__init__" not in vars(base):
            continue
        for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]:
            if parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
                names.setdefault(parameter.name, parameter.default is inspect.Parameter.empty)
    return names


def _arguments(kind: type, settings: HeadSettings, known: dict[str, int]) -> Arguments:
    names = argument_names(kind)
    derived = {name: known[KNOWN[name]] for name in names if name in KNOWN}
    free = [name for name in names if name not in KNOWN]
    for name in settings.loss_args:
        if name not in free:
            hint = nearest_or_known(name, free)
            raise HeadError(f"head.loss_args: {settings.loss} has no argument '{name}'; {hint}")
    missing = [name for name in free if names[name] and name not in settings.loss_args]
    if missing:
        raise HeadError(f"head.loss_args: {settings.loss} needs {' and '.join(missing)}: add them to head.loss_args")
    return derived | settings.loss_args

"""The user's own loss, `head.loss: my_module:my_loss`, from a module on PYTHONPATH (docs/new_loss.md).

    def my_loss(similarity, positives, negatives, *, margin=0.2): ...    # (A, L) similarities and masks -> scalar
    def my_loss(embeddings, labels, *, margin=0.2): ...                  # (B, E) and (B,) -> scalar

or a class of torch.nn.Module whose `forward` takes one of these; its parameters train with the head.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from heads.errors import HeadError
from heads.settings import HeadSettings
from heads.training.batches import Batch

INPUTS = (("similarity", "positives", "negatives"), ("embeddings", "labels"))


class UserLoss(nn.Module):
    """Batch -> scalar: a function or a module that `load` found, with `head.loss_args` for its further arguments."""

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__()
        self.name = settings.loss
        found: Any = load(self.name)
        self.function: Callable[..., object]
        arguments = dict(settings.loss_args)
        try:
            if isinstance(found, type) and issubclass(found, nn.Module):
                module = found(**arguments)
                self.function, self.arguments = module, {}
                parameters = inspect.signature(module.forward).parameters
            else:
                self.function, self.arguments = found, arguments
                parameters = inspect.signature(found).parameters
                inspect.signature(found).bind_partial(**arguments)
        except (TypeError, ValueError) as error:
            raise HeadError(f"head.loss_args: {self.name}: {' '.join(str(error).split())}") from None
        names = tuple(parameters)
        self.inputs = next((inputs for inputs in INPUTS if names[: len(inputs)] == inputs), None)
        if self.inputs is None:
            wanted = " or ".join(f"({', '.join(inputs)})" for inputs in INPUTS)
            raise HeadError(f"head.loss: {self.name} takes ({', '.join(names)}): name its first parameters {wanted}")

    def forward(self, batch: Batch) -> Tensor:
        try:
            value = self.function(*(getattr(batch, name) for name in self.inputs or ()), **self.arguments)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            raise HeadError(f"head.loss: {self.name}: {reason}") from error
        if not isinstance(value, Tensor) or value.shape != () or not value.requires_grad:
            raise HeadError(f"head.loss: {self.name} must return a scalar tensor that depends on the embeddings")
        return value


def load(name: str) -> Callable[..., Any]:
    """The function or class that `module:name` names.

    Raises:
        HeadError: no such module on PYTHONPATH, it cannot be imported, or it has no such function.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise HeadError(
            f"head.loss: no module '{error.name}' for '{name}': put its folder on PYTHONPATH, or run from there"
        ) from None
    except Exception as error:
        raise HeadError(f"head.loss: '{module_name}' cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise HeadError(f"head.loss: module '{module_name}' has no function '{attribute}'")
    if inspect.isclass(found) and not issubclass(found, torch.nn.Module):
        raise HeadError(f"head.loss: class '{attribute}' is no torch.nn.Module")
    return found

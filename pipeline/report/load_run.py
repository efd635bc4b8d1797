"""A trained run, read back and checked: rows, protocol, head and features that belong together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.tables.protocol import Protocol
from data.tables.rows import Rows, read_families
from features.storage.features_files import load_features, read_sidecar
from heads.errors import HeadError
from heads.store import TrainedHead, load_head
from pipeline.devices import device
from pipeline.head_data import read_head_data
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder, head_folder
from pipeline.report.subsets import clusters


@dataclass(frozen=True)
class TrainedRun:
    title: str  # `emoji · efficientnet_lite0 · linear, contrastive, 3 seeds`
    folder: Path  # artifacts/<dataset>
    rows: Rows
    protocol: Protocol
    trained: TrainedHead
    inputs: Tensor  # (N, D) float32 features
    clusters: NDArray[np.object_]  # (N,) what intervals draw together


def load_run(params: Params) -> TrainedRun:
    """
    Raises:
        DataError, FeatureError, HeadError: something is missing or damaged, or belongs to another run.
    """
    folder, trained = dataset_folder(params), load_head(head_folder(params))
    source = features_folder(params, trained.settings.features)
    rows, protocol = read_head_data(trained, folder)
    if trained.features_sha256 != read_sidecar(source).npy_sha256:
        raise HeadError("the head was trained on other features than these; run `dvc repro train`")
    inputs = torch.from_numpy(load_features(source, images_hash=rows.images_hash)).to(device()).float()
    drawn_together = clusters(rows, read_families(folder / "rows.parquet"))
    return TrainedRun(_title(params, trained), folder, rows, protocol, trained, inputs, drawn_together)


def _title(params: Params, trained: TrainedHead) -> str:
    head = trained.settings
    loss = "" if head.model == "identity" else f", {head.loss}"
    return f"{params.data.name} · {head.features} · {head.model}{loss}, {head.seeds} seed{'s' * (head.seeds > 1)}"

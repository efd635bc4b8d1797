"""A trained run, read back and checked: rows, protocol, head and features that belong together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.tables.protocol import Protocol, read_protocol
from data.tables.rows import Rows, read_families, read_rows
from features.storage.features_files import load_features, read_sidecar
from heads.errors import HeadError
from heads.store import TrainedHead, load_head
from pipeline.devices import device
from pipeline.feature_origin import check_origin
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
    folder, source = dataset_folder(params), features_folder(params, params.head.features)
    rows, protocol = read_rows(folder / "rows.parquet"), read_protocol(folder / "protocol.json")
    trained = load_head(head_folder(params))
    check_origin(params, params.head.features)
    check_fit(trained, rows, protocol, features=read_sidecar(source).npy_sha256)
    inputs = torch.from_numpy(load_features(source, images_hash=rows.images_hash)).to(device()).float()
    together = clusters(rows, read_families(folder / "rows.parquet"))
    return TrainedRun(_title(params, trained), folder, rows, protocol, trained, inputs, together)


def check_fit(trained: TrainedHead, rows: Rows, protocol: Protocol, *, features: str) -> None:
    """`features`: sha256 of the feature set's array.

    Raises:
        HeadError: the head belongs to other images, other features or another protocol.
    """
    if trained.images_hash != rows.images_hash:
        raise HeadError("the head was trained on other images than rows.parquet holds; run `dvc repro train`")
    if trained.features_sha256 != features:
        raise HeadError("the head was trained on other features than these; run `dvc repro train`")
    if trained.protocol_sha256 != protocol.sha256:
        raise HeadError("the head was trained under another protocol.json; run `dvc repro train`")


def _title(params: Params, trained: TrainedHead) -> str:
    head = trained.settings
    loss = "" if head.model == "identity" else f", {head.loss}"
    return f"{params.data.name} · {head.features} · {head.model}{loss}, {head.seeds} seed{'s' * (head.seeds > 1)}"

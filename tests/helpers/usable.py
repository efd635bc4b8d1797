"""A small data set with features of a real (random) network and a head on them, in the folder that the test runs in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from seeded_heads import seeded_heads
from small_images import encode, write_images

from data.tables.protocol import PairList, Protocol, write_protocol
from data.tables.rows import read_rows
from features.storage.features_files import load_features, read_sidecar
from heads.calibration import Calibration
from heads.models.transforms import fit_transform
from heads.store import TrainedHead, dump_head
from pipeline.params import Params, parse_params
from pipeline.stages import concat, extract

FOLDER = Path("artifacts/emoji")
SMALL = {"library": "local", "model": "conv4", "weights": "random", "pixels": 32}
CALIBRATION = Calibration(threshold=0.5, slope=6.0, intercept=-3.0)


def make_params(backbone: dict[str, Any] | None = None, *, dtype: str = "auto", **head: Any) -> Params:
    first = SMALL | (backbone or {})
    return parse_params(
        {
            "data": {"name": "emoji"},
            "backbones": {"small": first, "large": first | {"pixels": 48}},
            "features": {"backbones": ["small", "large"], "batch": 4, "workers": 0, "dtype": dtype},
            "concatenations": {"both": {"features": ["small", "large"], "weights": [1.0, 0.5]}},
            "head": {"features": "small", "seeds": 2, **head},
        }
    )


def make_images(count: int = 11) -> list[bytes]:
    images = [encode(seed) for seed in range(count)]
    source = write_images(FOLDER / "images.parquet", images)
    table = pq.read_table(source)
    names = ["thumb" if name == "image" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), FOLDER / "rows.parquet")
    return images


def make_features(params: Params) -> None:
    """The set that the head names, and the parts of a concatenation."""
    name = params.head.features
    for part in params.concatenations[name].features if name in params.concatenations else [name]:
        extract.run(params, part)
    if name in params.concatenations:
        concat.run(params, name)


def make_head(params: Params) -> TrainedHead:
    """Writes head/: seeds that differ, of no particular use; and the protocol.json that it is trained under."""
    settings, source = params.head, FOLDER / "features" / params.head.features
    rows = read_rows(FOLDER / "rows.parquet")
    features = torch.from_numpy(load_features(source, images_hash=rows.images_hash)).float()
    transform = fit_transform(settings.transform, features, components=settings.components, power=settings.whitening)
    train = transform(features)
    heads = seeded_heads(settings, train.shape[1], train=train, std=0.02)
    trained = TrainedHead(
        settings=settings,
        width=features.shape[1],
        groups=2,
        transform=transform,
        heads=heads,
        thresholds=[0.5] * (1 if settings.ensemble else settings.seeds),
        calibration=CALIBRATION,
        best_epochs=[1] * settings.seeds,
        features_sha256=read_sidecar(source).npy_sha256,
        images_hash=rows.images_hash,
        protocol_sha256=write_small_protocol().sha256,
    )
    write_head(trained)
    return trained


def write_head(trained: TrainedHead, folder: Path = FOLDER / "head") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in dump_head(trained).items():
        (folder / name).write_bytes(content)


def make_usable(
    backbone: dict[str, Any] | None = None, *, dtype: str = "auto", **head: Any
) -> tuple[list[bytes], TrainedHead]:
    """Images, features and head at once."""
    images, params = make_images(), make_params(backbone, dtype=dtype, **head)
    make_features(params)
    return images, make_head(params)


def write_small_protocol(folder: Path = FOLDER, **changes: Any) -> Protocol:
    """What is said of the data set, and test pairs: rows 0 and 1 are alike, 0 and 2 are not."""
    pairs = PairList(np.array([0, 0]), np.array([1, 2]), np.array([True, False]))
    protocol = Protocol(
        dataset=folder.name,
        source="made up",
        licence="nobody's",
        seed=0,
        group_level="group",
        rows=read_rows(folder / "rows.parquet").hash,
        counts={},
        pairs={"test": pairs},
    )
    protocol = replace(protocol, **changes)
    write_protocol(protocol, folder / "protocol.json")
    return protocol

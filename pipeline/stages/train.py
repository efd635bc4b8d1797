"""`train`: features/<name> -> head/. Fits the transform and the heads on train, picks epochs and thresholds on val."""

from dataclasses import dataclass

import numpy as np
import torch

from data.errors import DataError
from data.files.atomic import write_bytes
from data.tables.protocol import check_rows, read_protocol
from data.tables.rows import read_rows
from features.storage.features_files import load_features, read_sidecar
from heads.models.transforms import fit_transform
from heads.store import TrainedHead, dump_head
from heads.training.collapse import no_gain_warning
from heads.training.loop import Trained
from heads.training.samplers import TrainingSet, batches_per_epoch
from heads.training.seeds import train_heads
from heads.training.selection import calibrate_on_val, epoch_score
from pipeline.devices import device
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder, head_folder
from pipeline.progress import training_progress
from pipeline.shared.training_rows import history_csv, training_set, val_queries


@dataclass(frozen=True)
class Training:
    """A trained head and the course of its training."""

    head: TrainedHead
    trained: list[Trained]  # one per seed
    rows: TrainingSet


def run(params: Params) -> None:
    """Train `head.seeds` heads and write `head/`."""
    training, folder = train(params), head_folder(params)
    for name, content in dump_head(training.head).items():
        write_bytes(folder / name, content)
    write_bytes(folder / "history.csv", history_csv([row for one in training.trained for row in one.history]))
    print(f"{training_summary(training)} -> {folder}")


def train(params: Params) -> Training:
    """Fit the transform and `head.seeds` heads on train, choose epochs and thresholds on val; nothing is written.

    Raises:
        DataError: no train or val split, no val pairs, or a protocol of other rows.
        FeatureError: features that are not those of the images.
    """
    settings, folder = params.head, dataset_folder(params)
    rows = read_rows(folder / "rows.parquet")
    protocol = read_protocol(folder / "protocol.json")
    check_rows(protocol, rows.hash)
    if "val" not in protocol.pairs:
        raise DataError("the protocol has no val pairs to choose a threshold on: enlarge data.splits.val")
    source = features_folder(params, settings.features)
    views = torch.from_numpy(load_features(source, images_hash=rows.images_hash, views=True)).to(device()).float()
    chosen = training_set(rows, settings)
    width = views.shape[2]
    transform = fit_transform(
        settings.transform,
        views[torch.from_numpy(chosen.rows), 0],
        components=settings.components,
        power=settings.whitening,
    )
    views = transform(views)  # (N, V, D)
    inputs = views[:, 0].contiguous()
    queries, gallery = val_queries(rows, seed=params.seed)
    validate = epoch_score(
        inputs,
        rows.labels,
        settings,
        queries=queries,
        gallery=gallery,
        candidates=protocol.list_size,
    )
    batches = batches_per_epoch(chosen, batch=settings.batch, images=settings.images_per_group)
    with training_progress(settings.seeds * settings.epochs * batches, "train") as report:
        trained = train_heads(inputs, chosen, settings, seed=params.seed, validate=validate, views=views, report=report)
    pairs = protocol.pairs["val"]
    heads = [one.head for one in trained]
    thresholds, calibration = calibrate_on_val(heads, inputs, settings, a=pairs.a, b=pairs.b, same=pairs.same)
    head = TrainedHead(
        settings=settings,
        width=width,
        groups=chosen.groups,
        transform=transform,
        heads=heads,
        thresholds=thresholds,
        calibration=calibration,
        best_epochs=[one.best for one in trained],
        features_sha256=read_sidecar(source).npy_sha256,
        images_hash=rows.images_hash,
        protocol_sha256=protocol.sha256,
    )
    return Training(head, trained, chosen)


def training_summary(training: Training) -> str:
    """Warnings, val scores and epochs of a training, in a few lines."""
    trained, settings, left_out = training.trained, training.head.settings, training.rows.left_out
    warnings = [warning for one in trained for warning in one.warnings]
    if settings.model != "identity":
        warnings += no_gain_warning([one.best for one in trained], select=settings.select, where="head")
    lines = [f"warning: {warning}" for warning in warnings]
    if left_out:
        lines.insert(0, f"left out: {left_out} training images of groups with fewer than {settings.images_per_group}")
    score = f"val_{settings.select}"
    start = [one.history[0][score] for one in trained]
    best = [one.history[one.best][score] for one in trained]
    epochs = ", ".join(str(one.best) for one in trained)
    lines.append(
        f"{settings.model} head, {settings.loss} loss, {settings.seeds} seeds: {score} {np.mean(start):.3f} untrained, "
        f"{np.mean(best):.3f} at epochs {epochs}"
    )
    return "\n".join(lines)

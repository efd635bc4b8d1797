"""`python -m pipeline finetune NAME`: images.parquet -> networks/NAME/ and features/NAME/, an entry of `finetunes`."""

import hashlib
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save

from data.files.atomic import sha256_bytes, write_bytes
from data.files.cache import cache_root
from data.tables.rows import Rows, read_rows
from features.backbones.local import ABOUT, TRAINED, WEIGHTS, description
from features.backbones.registry import versions
from features.extraction.extract import extract_shards
from features.finetuning.augment import ROTATIONS
from features.finetuning.settings import Finetune
from features.finetuning.train import train_network
from features.freed_memory import keep_freed_memory
from features.storage.sealed_json import seal
from heads.training.collapse import no_gain_warning
from heads.training.loop import Trained
from heads.training.samplers import batches_per_epoch
from pipeline.extraction import Extractor, extraction_fingerprint, provenance, write_features
from pipeline.finetuning import FinetuneInputs, find_entry, finetune_compute, load_finetune_inputs
from pipeline.fingerprint import fingerprint
from pipeline.params import Params
from pipeline.paths import dataset_folder, network_folder
from pipeline.progress import training_progress
from pipeline.shared.training_rows import history_csv

HISTORY = "history.csv"
THIS = "pipeline/stages/finetune.py"


def run(params: Params, name: str) -> None:
    """Train the network of the finetune `name` and write it, its history, and every image's features."""
    keep_freed_memory()
    entry = find_entry(params, name)
    rows = read_rows(dataset_folder(params) / "images.parquet")
    inputs = load_finetune_inputs(params, name, rows)
    key = checkpoint_key(inputs, entry, rows, seed=params.seed)
    checkpoint = cache_root() / "finetune" / f"{key[:40]}.checkpoint"
    batches = batches_per_epoch(inputs.training.training_set, batch=entry.batch, images=entry.images_per_group)
    start = time.perf_counter()
    with training_progress(entry.epochs * batches, f"finetune {name}") as report:
        trained = train_network(
            inputs.training,
            entry,
            seed=params.seed,
            where=f"finetunes.{name}",
            validator=inputs.validator,
            checkpoint=checkpoint,
            report=report,
        )
    seconds = time.perf_counter() - start
    network = inputs.training.network.cpu()
    weights = save({name: value.contiguous().clone() for name, value in sorted(network.state_dict().items())})
    folder = network_folder(params, name)
    write_bytes(folder / WEIGHTS, weights)
    write_bytes(folder / ABOUT, seal(describe(inputs, entry) | {"weights_sha256": sha256_bytes(weights)}))
    write_bytes(folder / HISTORY, history_csv(trained.history))
    new_batches = batches * (len(trained.history) - 1 - trained.resumed)
    print_summary(trained, inputs, entry, name, rate=new_batches / seconds)
    finished = replace(inputs.base, module=network, weights_sha256=sha256_bytes(weights))
    compute = finetune_compute(params)
    source = {"finetune": entry.model_dump(mode="json"), "seed": params.seed}
    result = write_features(
        params,
        name,
        Extractor(finished, compute, source | provenance(finished, entry.network, compute)),
        code=extraction_fingerprint(entry.network.library),
        engine=partial(extract_shards, network=finished),
    )
    shape = list(result.shape)
    print(f"finetune {name}: {shape[0]} images, {result.computed} run -> {result.folder} {shape}")


def describe(inputs: FinetuneInputs, entry: Finetune) -> dict[str, Any]:
    """What `features.backbones.local` needs to build the network again."""
    network = entry.network.model_dump(mode="json")
    if entry.network.library == "local" and entry.network.model == TRAINED:
        network = description(Path(entry.network.weights).expanduser(), "finetunes")
    return {
        "network": network,
        "width": inputs.width,
        "dim": entry.dim,
        "preprocess": inputs.base.preprocess.describe(),
    }


def checkpoint_key(inputs: FinetuneInputs, entry: Finetune, rows: Rows, *, seed: int) -> str:
    """Everything that decides the next epoch: images and their groups, settings, weights, code, libraries, device.

    Not how long to go on: a run with more `patience` takes up where one with less stopped.
    """
    settings = entry.model_dump(mode="json", exclude={"patience"})
    parts = [rows.hash, settings, seed, inputs.base.weights_sha256, versions(entry.network)]
    parts += [inputs.base.preprocess.describe()]
    parts += [str(inputs.training.pixels.device.type), fingerprint(THIS)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def print_summary(trained: Trained, inputs: FinetuneInputs, entry: Finetune, name: str, *, rate: float) -> None:
    """Print warnings, scores and speed of a training, in a few lines."""
    rows, score = inputs.training.training_set, f"val_{entry.select}"
    if rows.left_out:
        print(f"left out: {rows.left_out} training images of groups with fewer than {entry.images_per_group}")
    if trained.resumed:
        print(f"finetune {name}: resumed after epoch {trained.resumed}, from the scratch cache")
    no_gain = no_gain_warning([trained.best], select=entry.select, where=f"finetunes.{name}")
    for warning in [*trained.warnings, *no_gain]:
        print(f"warning: {warning}")
    rounded = round(rate, 1) or round(rate, 3)  # of a large network on a CPU: seconds a step
    speed = f"{rounded} steps/s on {inputs.training.pixels.device.type}" if rate else "all of it known"
    images = (
        f"{len(rows.rows) // ROTATIONS} images in {ROTATIONS} rotations"
        if entry.augment.rotations
        else f"{len(rows.rows)} images"
    )
    last, best = trained.history[-1], trained.history[trained.best]
    print(
        f"finetune {name}: {entry.network.model}, {entry.loss} loss, {images}, {last['epoch']} epochs: "
        f"{score} {trained.history[0][score]:.3f} untrained, {best[score]:.3f} at epoch {trained.best}; {speed}"
    )

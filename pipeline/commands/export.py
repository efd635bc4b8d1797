"""`python -m pipeline export`: preprocessing, network and head as one ONNX file, checked on real images."""

import json
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from data.files.atomic import atomic_file
from data.images.decode import decode
from data.tables.protocol import Protocol
from data.tables.rows import read_images, read_rows
from heads.embeddings import distinct_heads, is_cosine
from heads.store import TrainedHead
from heads.store import load_head as load_trained
from pipeline.head_data import read_head_data
from pipeline.inference.export_graph import EmbeddingGraph, SimilarityGraph
from pipeline.inference.feature_sources import FeatureSet, FeatureSource, find_networks
from pipeline.inference.onnx_file import check, to_onnx
from pipeline.inference.predictor import load_head

SAMPLE = 32


def run(folder: Path, out: Path | None) -> None:
    """Export the head in `folder` (artifacts/<dataset>/head) to `out`, if it computes what the pipeline computes.

    Raises:
        HeadError: the file and the pipeline differ.
        DataError: no images to check on.
    """
    out = out or folder.with_name(f"{folder.parent.name}.onnx")
    trained = load_trained(folder)
    _, protocol = read_head_data(trained, folder.parent)
    images = sample_images(folder.parent)
    networks = find_networks(folder.parent / "features", trained.settings.features, npy_sha256=trained.features_sha256)
    embeds = trained.embeds
    module = (EmbeddingGraph if embeds else SimilarityGraph)(networks, trained)
    content = to_onnx(
        module,
        inputs=["images"] if embeds else ["left", "right"],
        output="embedding" if embeds else "similarity",
        notes=describe(protocol, trained, networks),
    )
    agreement = check(content, load_head(folder), images)
    with atomic_file(out) as file:
        file.write(content)
    print(f"checked on {len(images)} images: {agreement}")
    takes = f"{'images' if embeds else 'left, right'} (batch, 3, height, width) uint8 RGB of any size"
    print(f"{takes} -> {gives(trained)}: {out} ({len(content) / 1e6:.1f} MB)")


def gives(trained: TrainedHead) -> str:
    if not trained.embeds:
        return "similarity (batch,)"
    return "embedding (batch, E), inner products are similarities" if is_cosine(trained) else "embedding (batch, E)"


def describe(protocol: Protocol, trained: TrainedHead, networks: FeatureSet) -> dict[str, str]:
    """What whoever has only the file must know; values that are no strings are JSON."""
    calibration = trained.calibration
    parts = len(distinct_heads(trained.heads))
    meaning = "similarity is a logit; left asks, right answers"
    if is_cosine(trained):
        meaning = "embeddings have length 1; similarity is their inner product"
    elif trained.embeds:
        meaning = f"similarity is minus the Euclidean distance, the mean over {parts} equal part(s) of the embedding"
    notes: dict[str, Any] = {
        "similarity": meaning,
        "input": "uint8 RGB, decoded, upright (EXIF), alpha on white; resized, cropped and normalised inside",
        "threshold": calibration.threshold,
        "probability": f"1 / (1 + exp(-({calibration.slope!r} * similarity + {calibration.intercept!r})))",
        "dataset": protocol.dataset,
        "dataset_licence": protocol.licence,
        "head": trained.settings.model_dump(mode="json"),
        "networks": [
            {"name": part.name, "weight": part.weight, "weights_licence": weights_licence(part)} | _provenance(part)
            for part in networks.parts
        ],
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        for key, value in notes.items()
    }


def _provenance(part: FeatureSource) -> dict[str, Any]:
    """What made the features; of weights in a file of this machine the name alone."""
    entry = part.provenance.get("backbone")
    if entry is None:
        return part.provenance
    return part.provenance | {"backbone": entry | {"weights": Path(entry["weights"]).name}}


def weights_licence(part: FeatureSource) -> str:
    """That of the package which carries the weights; what others say is with their publisher."""
    source = part.provenance["backbone"]["weights"] if "backbone" in part.provenance else "trained here"
    if not source.startswith("package:"):
        return "random numbers" if source == "random" else f"not recorded; weights: {Path(source).name}"
    try:
        about = metadata(source.removeprefix("package:"))
    except PackageNotFoundError:
        return "not recorded"
    stated = [about[key] for key in ("License-Expression", "License") if key in about]
    return next(filter(None, stated), "not stated by the package")


def sample_images(dataset: Path) -> list[NDArray[np.uint8]]:
    """Some images of the data set in `dataset`, the same in every run: (1, 3, H, W) uint8 each."""
    source = dataset / "images.parquet"
    count = len(read_rows(source))
    rows = np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))
    if count < 2:
        raise DataError(f"{source}: {count} images are too few to check an export on")
    return [as_input(blob) for blob in read_images(source, rows)]


def as_input(blob: bytes) -> NDArray[np.uint8]:
    return np.array(decode(blob)).transpose(2, 0, 1)[None]

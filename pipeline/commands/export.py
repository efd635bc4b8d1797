"""`python -m pipeline export`: preprocessing, network and head as one ONNX file, checked on real images."""

import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from data.errors import DataError
from data.files.atomic import atomic_file
from data.images.decode import decode
from data.tables.protocol import read_protocol
from data.tables.rows import read_images, read_rows
from features.extraction.precision import LEAST_COSINE, provenance_dtype
from heads.embeddings import distinct_heads, is_cosine
from heads.errors import HeadError
from heads.store import TrainedHead
from heads.store import load_head as load_trained
from pipeline.inference.export_graph import EmbeddingGraph, SimilarityGraph
from pipeline.inference.feature_sources import FeatureSet, FeatureSource, find_networks
from pipeline.inference.predictor import Predictor, load_head

OPSET = 18  # the first whose Resize can antialias
SAMPLE = 32
COSINE, PROBABILITY = 0.999, 0.02  # what must agree: the least cosine, and the largest difference of a probability


def run(folder: Path, out: Path | None) -> None:
    """Export the head in `folder` (artifacts/<dataset>/head) to `out`; it appears only if it says what we say.

    Raises:
        HeadError: what the file answers is not what the pipeline answers.
        DataError: no images to check on.
    """
    out = out or folder.with_name(f"{folder.parent.name}.onnx")
    trained = load_trained(folder)
    images = sample_images(folder.parent)
    networks = find_networks(folder.parent / "features", trained.settings.features, npy_sha256=trained.features_sha256)
    embeds = trained.embeds
    module = (EmbeddingGraph if embeds else SimilarityGraph)(networks, trained)
    content = to_onnx(
        module,
        inputs=["images"] if embeds else ["left", "right"],
        output="embedding" if embeds else "similarity",
        notes=describe(folder.parent, trained, networks),
    )
    said = check(content, load_head(folder), images)
    with atomic_file(out) as file:
        file.write(content)
    print(f"checked on {len(images)} images: {said}")
    takes = f"{'images' if embeds else 'left, right'} (batch, 3, height, width) uint8 RGB of any size"
    print(f"{takes} -> {gives(trained)}: {out} ({len(content) / 1e6:.1f} MB)")


def gives(trained: TrainedHead) -> str:
    if not trained.embeds:
        return "similarity (batch,)"
    return "embedding (batch, E), inner products are similarities" if is_cosine(trained) else "embedding (batch, E)"


def describe(dataset: Path, trained: TrainedHead, networks: FeatureSet) -> dict[str, str]:
    """What whoever has only the file must know; values that are no strings are JSON."""
    calibration, protocol = trained.calibration, read_protocol(dataset / "protocol.json")
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
            {"name": part.name, "weight": part.weight, "weights_licence": weights_licence(part)} | _made_by(part)
            for part in networks.parts
        ],
    }
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        for key, value in notes.items()
    }


def _made_by(part: FeatureSource) -> dict[str, Any]:
    """What made its features; of weights in a file of this machine the name alone."""
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
    return about.get("License-Expression") or about.get("License") or "not stated by the package"


def sample_images(dataset: Path) -> list[np.ndarray]:
    """Some images of the data set in `dataset`, the same in every run: (1, 3, H, W) uint8 each."""
    source = dataset / "images.parquet"
    count = len(read_rows(source))
    rows = np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))
    if count < 2:
        raise DataError(f"{source}: {count} images are too few to check an export on")
    return [as_input(blob) for blob in read_images(source, rows)]


def as_input(blob: bytes) -> np.ndarray:
    return np.array(decode(blob)).transpose(2, 0, 1)[None]


def to_onnx(module: nn.Module, *, inputs: list[str], output: str, notes: dict[str, str]) -> bytes:
    """One ONNX file. Batch, height and width are free; nothing in it tells of the machine that made it."""
    batch = torch.export.Dim("batch")
    shapes = {
        name: {0: batch, 2: torch.export.Dim(f"height{tail}"), 3: torch.export.Dim(f"width{tail}")}
        for name, tail in zip(inputs, ("",) if len(inputs) == 1 else ("_left", "_right"), strict=True)
    }
    example: tuple[Tensor, ...] = tuple(
        torch.zeros(2, 3, 100 + 7 * i, 150 + 9 * i, dtype=torch.uint8) for i in range(len(inputs))
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval().requires_grad_(False),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=inputs,
            output_names=[output],
            dynamic_shapes=shapes,
            verbose=False,
        )
    model = program.model_proto
    del model.metadata_props[:]
    for key, value in sorted(notes.items()):
        model.metadata_props.add(key=key, value=value)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]  # stack traces, with paths of this machine
        node.ClearField("doc_string")
    return model.SerializeToString()


def check(content: bytes, head: Predictor, images: list[np.ndarray]) -> str:
    """Ask the file and the pipeline about the same images (1, 3, H, W), alone and two at once; how they agree.

    The file computes in float32, so it is compared with the pipeline in float32, closely. Where the features were made
    in another dtype, float32 must agree with that too, as far as that dtype allows.

    Raises:
        HeadError: they do not.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    pictures = [Image.fromarray(image[0].transpose(1, 2, 0)) for image in images]
    exact = Predictor(head.trained, head.feature_set, device=head.device, dtype=torch.float32).features_of(pictures)
    ours = head.codes_of(exact)
    wanted = head.between(ours[:-1], ours[1:]).diagonal()
    said = []
    if len(names) == 1:
        theirs = np.concatenate([session.run(None, {names[0]: image})[0] for image in images])
        twice = session.run(None, {names[0]: images[0].repeat(2, 0)})[0]
        cosine = least_cosine(np.concatenate([theirs, twice]), torch.cat([ours, ours[:1], ours[:1]]).cpu().numpy())
        said.append(f"cosine at least {cosine:.6f}")
        if not cosine >= COSINE:
            raise HeadError(
                f"export: embeddings have cosine {cosine:.4f} to the pipeline's, at least {COSINE} expected"
            )
        found = head.between(*(torch.from_numpy(part).to(ours.device) for part in (theirs[:-1], theirs[1:]))).diagonal()
    else:
        pairs = list(pairwise(images))
        found = np.concatenate([session.run(None, dict(zip(names, pair, strict=True)))[0] for pair in pairs])
        twice = session.run(None, dict(zip(names, (image.repeat(2, 0) for image in pairs[0]), strict=True)))[0]
        found, wanted = np.concatenate([found, twice]), np.concatenate([wanted, wanted[:1], wanted[:1]])
    off = np.abs(head.answer(found).probability - head.answer(wanted).probability).max()
    said.append(f"probabilities within {off:.4f}")
    if not off <= PROBABILITY:
        raise HeadError(
            f"export: probabilities differ by {off:.3f} from the pipeline's, at most {PROBABILITY} expected"
        )
    made_in = {provenance_dtype(part.provenance) for part in head.feature_set.parts} - {"float32"}
    if made_in:
        cosine, least = least_cosine(head.features_of(pictures), exact), min(LEAST_COSINE[name] for name in made_in)
        said.append(f"features in {' and '.join(sorted(made_in))}: cosine at least {cosine:.4f} to float32")
        if not cosine >= least:
            raise HeadError(f"export: {said[-1]}, at least {least} expected; set features.dtype to float32")
    return ", ".join(said)


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The least cosine of rows (n, E); NaN where a row is."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())

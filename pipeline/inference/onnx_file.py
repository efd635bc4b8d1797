"""An ONNX file of a graph, and whether it computes what the pipeline computes."""

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from features.extraction.precision import LEAST_COSINE, provenance_dtype
from heads.errors import HeadError
from pipeline.inference.predictor import Predictor

OPSET = 18  # the first whose Resize can antialias
COSINE, PROBABILITY = 0.999, 0.02  # what must agree: the least cosine, and the largest difference of a probability


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
    assert program is not None  # None without `dynamo`
    model = program.model_proto
    del model.metadata_props[:]
    for key, value in sorted(notes.items()):
        model.metadata_props.add(key=key, value=value)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]  # stack traces, with paths of this machine
        node.ClearField("doc_string")
    return model.SerializeToString()


class OnnxFile:
    """The content of an ONNX file with one output, run on the CPU."""

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self.session.get_inputs()]

    def __call__(self, *images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The output for one (B, 3, H, W) per input."""
        feed: Mapping[str, NDArray[np.uint8]] = dict(zip(self.inputs, images, strict=True))
        return np.asarray(self.session.run(None, feed)[0])


def check(content: bytes, head: Predictor, images: list[NDArray[np.uint8]]) -> str:
    """Run the file and the pipeline on the same images (1, 3, H, W), alone and two at once; how they agree.

    The file computes in float32, so it is compared with the pipeline in float32, closely. Where the features were made
    in another dtype, float32 must agree with that too, as far as that dtype allows.

    Raises:
        HeadError: they do not.
    """
    file = OnnxFile(content)
    pictures = [Image.fromarray(image[0].transpose(1, 2, 0)) for image in images]
    exact = Predictor(head.trained, head.feature_set, device=head.device, dtype=torch.float32).features_of(pictures)
    ours = head.embeddings_of(exact)
    expected = head.similarity_of(ours[:-1], ours[1:]).diagonal()
    agreement = []
    if len(file.inputs) == 1:
        theirs = np.concatenate([file(image) for image in images])
        twice = file(images[0].repeat(2, 0))
        cosine = least_cosine(np.concatenate([theirs, twice]), torch.cat([ours, ours[:1], ours[:1]]).cpu().numpy())
        agreement.append(f"cosine at least {cosine:.6f}")
        if not cosine >= COSINE:
            raise HeadError(
                f"export: embeddings have cosine {cosine:.4f} to the pipeline's, at least {COSINE} expected"
            )
        got = head.similarity_of(
            *(torch.from_numpy(part).to(ours.device) for part in (theirs[:-1], theirs[1:]))
        ).diagonal()
    else:
        pairs = list(pairwise(images))
        twice = file(*(image.repeat(2, 0) for image in pairs[0]))
        got = np.concatenate([*(file(*pair) for pair in pairs), twice])
        expected = np.concatenate([expected, expected[:1], expected[:1]])
    off = np.abs(head.comparison_of(got).probability - head.comparison_of(expected).probability).max()
    agreement.append(f"probabilities within {off:.4f}")
    if not off <= PROBABILITY:
        raise HeadError(
            f"export: probabilities differ by {off:.3f} from the pipeline's, at most {PROBABILITY} expected"
        )
    dtypes = {provenance_dtype(part.provenance) for part in head.feature_set.parts} - {"float32"}
    if dtypes:
        cosine, least = least_cosine(head.features_of(pictures), exact), min(LEAST_COSINE[name] for name in dtypes)
        agreement.append(f"features in {' and '.join(sorted(dtypes))}: cosine at least {cosine:.4f} to float32")
        if not cosine >= least:
            raise HeadError(f"export: {agreement[-1]}, at least {least} expected; set features.dtype to float32")
    return ", ".join(agreement)


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The least cosine of rows (n, E); NaN where a row is."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())

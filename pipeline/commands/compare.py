"""`python -m pipeline compare A B [...]`: are these images alike? Similarity, probability, decision."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from data.datasets.source import shown
from data.images.open_images import OpenedImage
from pipeline.errors import ParamError
from pipeline.inference.predictor import load_head


def run(
    images: Sequence[OpenedImage], *, folder: Path | None = None, every: bool = False, as_json: bool = False
) -> None:
    """Print the pairs of `images`: the first with each other one, or `every` pair. `folder`: as `load_head` takes it.

    Raises:
        ParamError: fewer than two images. HeadError: no head.
    """
    if len(images) < 2:
        raise ParamError(f"compare needs two images or more, {len(images)} given")
    head = load_head(folder)
    embeddings = head.embeddings_of(head.features_of([image.picture for image in images]))
    places = list(combinations(range(len(images)), 2)) if every else [(0, other) for other in range(1, len(images))]
    matrix = head.similarity_of(embeddings, embeddings) if every else head.similarity_of(embeddings[:1], embeddings)
    comparison = head.comparison_of(matrix)
    pairs = [
        {
            "a": images[a].name,
            "b": images[b].name,
            "similarity": round(float(comparison.similarity[a, b]), 4),
            "probability": round(float(comparison.probability[a, b]), 4),
            "alike": bool(comparison.alike[a, b]),
        }
        for a, b in places
    ]
    if as_json:
        print(json.dumps({"threshold": round(head.threshold, 4), "pairs": pairs}, indent=2))
    else:
        print(as_text(pairs, head.threshold))


def as_text(pairs: Sequence[dict], threshold: float) -> str:
    lines = ["similarity  probability"]
    for pair in pairs:
        word = "alike" if pair["alike"] else "different"
        numbers = f"{pair['similarity']:>10.3f}  {pair['probability']:>11.3f}"
        lines.append(f"{numbers}  {word:9}  {shown(pair['a'])}  {shown(pair['b'])}")
    lines.append(f"alike from {threshold:.3f} on; probability where half of the pairs are alike, as on val")
    return "\n".join(lines)

"""`python -m pipeline bench use`: what a comparison costs beside its imports, and a search in a large gallery.

The floor of `compare` is a process that imports what the network needs, builds it with random weights and runs it once
on two images: no decoding, no weights read, no head.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data.tables.rows import read_images
from features.settings import Backbone
from heads.embeddings import is_cosine
from heads.knn import knn
from pipeline.commands.bench_turns import median, ratio, seconds_of, take_turns, write_table
from pipeline.errors import ParamError
from pipeline.inference import faiss_index
from pipeline.inference.predictor import Predictor, load_head
from pipeline.inference.search_index import prepared_gallery
from pipeline.params import Params
from pipeline.paths import dataset_folder, head_folder

OUT = Path("benchmarks/use.csv")
NOISE = 0.5  # length of what is added to embeddings of length 1, to make many of a few
QUERIES = 20

FLOOR = """
import torch, torchvision.transforms.v2.functional, PIL.Image, {library}
network = {build}.eval()
with torch.inference_mode():
    network{forward}(torch.zeros(2, 3, {side}, {side}))
"""
BUILD = {
    "timm": ("timm.create_model({model!r}, num_classes=0)", ""),
    "torchvision": ("torchvision.models.get_model({model!r}, weights=None)", ""),
    "open_clip": ("open_clip.create_model({model!r})", ".encode_image"),
}


def run(params: Params, *, gallery: int, k: int, repeats: int) -> None:
    """Time both and write benchmarks/use.csv.

    Raises:
        ParamError: the head's features are fused, or of a network trained here: no floor is known for those.
    """
    head = load_head(head_folder(params))
    write_table(OUT, [_compare(params, head, repeats), *_search(params, head, gallery, k)])


def _compare(params: Params, head: Predictor, repeats: int) -> dict[str, object]:
    part, *more = head.feature_set.parts
    if more or part.entry.library not in BUILD or "finetune" in part.provenance:
        raise ParamError(
            f"bench use: no floor is known for features '{head.feature_set.name}'; use those of one backbone"
        )
    contents = read_images(dataset_folder(params) / "images.parquet", np.arange(2))
    with tempfile.TemporaryDirectory() as scratch:
        names = [str(Path(scratch) / f"{number}.png") for number in range(2)]
        for name, content in zip(names, contents, strict=True):
            Path(name).write_bytes(content)
        commands = {
            "ours": [sys.executable, "-m", "pipeline", "compare", *names],
            "floor": [sys.executable, "-c", _floor(part.entry, part.network.preprocess.size)],
        }
        calls = {
            name: partial(subprocess.run, words, check=True, capture_output=True) for name, words in commands.items()
        }
        seconds = take_turns(calls, repeats)
    note = f"{ratio(seconds, 'ours', 'floor'):.2f} times"
    ours, floor = median(seconds, "ours"), median(seconds, "floor")
    return _row("compare two files", ours, "imports and one forward pass", floor, note)


def _search(params: Params, head: Predictor, count: int, k: int) -> list[dict[str, object]]:
    """One query in `count` embeddings: the data set's own, again and again with noise."""
    held = prepared_gallery(head, dataset_folder(params)).embeddings
    draw = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(held), (count,), generator=draw).to(held.device)
    noise = torch.randn(count, held.shape[1], generator=draw).to(held.device)
    embeddings = held[chosen] + NOISE * held.norm(dim=1).mean() * noise / held.shape[1] ** 0.5
    if is_cosine(head.trained):
        embeddings = torch.nn.functional.normalize(embeddings)
    queries = embeddings[:QUERIES] + 0.1 * embeddings[-QUERIES:]
    what = f"nearest {k} of {count:,} embeddings of width {embeddings.shape[1]}"
    exact = _median(lambda query: knn(head.trained, query, gallery=embeddings, k=k), queries)
    product = _median(lambda query: query @ embeddings.T, queries)
    rows = [_row(f"{what}, exact", exact, "matrix product alone", product, "")]
    if faiss_index.available() and head.trained.embeds:
        with tempfile.TemporaryDirectory() as scratch:
            start = time.perf_counter()
            index = faiss_index.open_index(head, embeddings, k=k, path=Path(scratch) / "embeddings.faiss")
            built = time.perf_counter() - start
            quick = _median(lambda query: faiss_index.search(head, index, query, gallery=embeddings, k=k), queries)
        note = f"recall@{k} {index.recall:.3f}, {index.looked_into} of {index.cells} cells, built in {built:.0f} s"
        rows.append(_row(f"{what}, FAISS", quick, "exact", exact, note))
    return rows


def _row(what: str, seconds: float, beside: str, reference: float, note: str) -> dict[str, object]:
    return {
        "what": what,
        "seconds": round(seconds, 4),
        "beside": beside,
        "reference": round(reference, 4),
        "note": note,
    }


def _floor(entry: Backbone, side: int) -> str:
    build, forward = BUILD[entry.library]
    library = entry.library
    return FLOOR.format(library=library, build=build.format(model=entry.model), forward=forward, side=side)


def _median(look_up: Callable[[torch.Tensor], object], queries: torch.Tensor) -> float:
    look_up(queries[:1])
    return statistics.median(seconds_of(partial(look_up, query[None])) for query in queries)

"""`python -m pipeline embed FOLDER`: features and embeddings of a folder's images, as parquet for other tools."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError
from data.files.archives import unicode_name
from data.files.atomic import atomic_file
from pipeline.inference.folder_features import folder_features
from pipeline.inference.predictor import load_head
from pipeline.inference.search_index import named, no_images
from pipeline.progress import progress


def run(folder: Path, *, out: Path, head_folder: Path | None = None) -> None:
    """Write `out`: one row per image with name, sha256, features (D,) and, of a head that has one, embedding (E,).

    Raises:
        DataError: no images in `folder`. HeadError: no head.
    """
    head = load_head(head_folder)
    found = folder_features(head, folder, progress=lambda total, what: progress(total, f"{what} {folder}"))
    if not found.names:
        raise DataError(no_images(folder, found.rejected))
    features = found.features()
    columns = {
        "name": pa.array([unicode_name(name) for name in found.names], pa.string()),
        "sha256": pa.array(found.keys, pa.string()),
        "features": _vectors(features),
    }
    if head.trained.embeds:
        columns["embedding"] = _vectors(head.embeddings_of(features).cpu().numpy())
    about = {"features": head.feature_set.name, "head": head.trained.settings.model_dump(mode="json")}
    table = pa.table(columns).replace_schema_metadata({"lookalike": json.dumps(about, sort_keys=True)})
    with atomic_file(out) as file:
        pq.write_table(table, file, compression="zstd")
    widths = ", ".join(f"{name} of {columns[name].type.list_size}" for name in [*columns][2:])
    print(f"{len(found.names):,} images of {folder}: {widths} -> {out}")
    if found.rejected:
        print(f"left out, no images: {len(found.rejected)} files: {named(found.rejected)}")
    for note in found.notes:
        print(note)


def _vectors(array: np.ndarray) -> pa.FixedSizeListArray:
    """(N, D) -> a column of float32 vectors, which every reader of parquet knows."""
    flat = np.ascontiguousarray(array, np.float32).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), array.shape[1])

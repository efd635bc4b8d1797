"""The files that an experiment of a study leaves, made up."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TABLE = """subset,score,head,half_width,half_width_seeds,baseline,projection,chance
test,top2,0.5,0.04,0.01,0.4,0.3,0.1
test,balanced_accuracy,0.8,0.02,0.01,0.7,0.6,0.5
test,accuracy,0.9,0.02,0.01,0.8,0.7,0.95
test,frozen pair_accuracy,0.81,,,0.71,0.6,0.49
"""


def experiment(
    folder: Path,
    hits: np.ndarray,
    baseline: np.ndarray,
    *,
    chance: float = 0.1,
    protocol: str = "p",
    queries: str = "",
) -> Path:
    """Files of `hits` (S, Q) of the head and `baseline` (Q,) of the baseline; `queries` is what the ids start with."""
    queries = queries or folder.name
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text(TABLE.replace("0.3,0.1", f"0.3,{chance}"))
    fewshot = {"accuracy": 0.3, "ci": 0.01, "baseline": 0.2, "chance": 0.05}
    (folder / "metrics.json").write_text(json.dumps({"pair_loss": 0.02, "fewshot": fewshot}))
    size = len(baseline)
    rows = [("head", seed, values) for seed, values in enumerate(hits)] + [("baseline", 0, baseline)]
    tables = [
        pa.table(
            {
                "model": [model] * size,
                "seed": pa.array([seed] * size, pa.int16()),
                "id": [f"{queries}/{i}" for i in range(size)],
                "cluster": [f"{queries}/{i // 2}" for i in range(size)],
                "seen": [False] * size,
                "top2": np.asarray(values, np.float64),
            }
        )
        for model, seed, values in rows
    ]
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables).replace_schema_metadata({"protocol": protocol}), sink)
    (folder / "queries.parquet").write_bytes(sink.getvalue())
    return folder

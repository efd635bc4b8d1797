"""`python -m pipeline transfer`: does a head help on data that it was not trained on?

Trains the head of params.yaml on every prepared data set that has its features, and scores each on all of them, minus
the baseline of the same features. The heads are not written: no data set's own head is touched.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import DataError
from data.files.atomic import write_bytes
from data.tables.protocol import Protocol, read_protocol
from data.tables.rows import Rows, read_families, read_rows
from features.storage.features_files import load_features, read_sidecar
from heads.errors import HeadError
from heads.metrics.baselines import baseline_similarity
from heads.metrics.evaluation import Evaluation, Subset, evaluate_subset
from heads.metrics.intervals import paired_interval
from heads.metrics.merging import merge_evaluations
from heads.similarity import Similarity
from heads.store import TrainedHead
from pipeline.devices import device
from pipeline.errors import ParamError
from pipeline.params import Params
from pipeline.paths import ARTIFACTS, dataset_folder
from pipeline.put_away import announce_restored
from pipeline.report.pretraining_overlap import known_beforehand
from pipeline.report.subsets import clusters, test_subsets
from pipeline.shared.csv_text import csv_of_dicts
from pipeline.stage_inputs import check_origin

OUT = Path("build/transfer.csv")
METRIC = "top2"
SAME = ("backbone", "preprocess", "weights_sha256")  # entries of a sidecar that make features comparable


@dataclass(frozen=True)
class DataSet:
    name: str
    rows: Rows
    protocol: Protocol
    inputs: Tensor  # (N, D)
    subsets: dict[str, Subset]
    clusters: NDArray[np.object_]  # (N,)


@dataclass(frozen=True)
class TransferRow:
    trained_on: str
    scored_on: str
    head: float  # top-2 in lists, mean over seeds
    baseline: float
    gain: float
    half_width: float  # of the gain's 95 % interval, over queries and seeds
    queries: int
    known_queries: int  # whose image is, byte for byte, in train or val of the other data set
    note: str


def run(params: Params) -> None:
    """Print the table and write build/transfer.csv.

    Raises:
        ParamError: fewer than two prepared data sets have the feature set.
    """
    announce_restored()
    names = find_data_sets(params.head.features)
    sets = [load_data_set(name, params) for name in names]
    baseline = {one.name: evaluations(baseline_similarity(one.inputs), one) for one in sets}
    table: list[TransferRow] = []
    for source in sets:
        try:
            head = train_apart(params, source.name)
        except (DataError, HeadError) as error:
            print(f"not trained on {source.name}: {error}")
            continue
        for target in sets:
            note = known_beforehand(params, params.head.features, target.name)
            table.append(compare(head, source, target, baseline=baseline[target.name], note=note))
    write_bytes(OUT, csv_of_dicts([asdict(row) for row in table]))
    print(transfer_text(params.head.features, table))
    print(f"  wrote {OUT}")


def find_data_sets(features: str) -> list[str]:
    """Names of prepared data sets that have the feature set, with the weights and preprocessing of most of them.

    Raises:
        ParamError: fewer than two.
    """
    origins: dict[str, str] = {}
    for folder in sorted(path for path in ARTIFACTS.glob("*") if path.is_dir()):
        source = folder / "features" / features
        if (folder / "rows.parquet").exists() and (folder / "protocol.json").exists() and source.exists():
            provenance = read_sidecar(source).provenance
            origins[folder.name] = repr([provenance.get(key) for key in SAME])
    common = max(origins.values(), key=list(origins.values()).count) if origins else ""
    names = [name for name, origin in origins.items() if origin == common]
    for name in sorted(set(origins) - set(names)):
        print(f"left out: {name}; its {features} comes from other weights or preprocessing than that of {names[0]}")
    if len(names) < 2:
        raise ParamError(
            f"transfer needs two prepared data sets with features '{features}', found {', '.join(names) or 'none'}; "
            "set data.name in params.yaml to another and run `dvc repro`"
        )
    return names


def load_data_set(name: str, params: Params) -> DataSet:
    folder = dataset_folder(name)
    rows = read_rows(folder / "rows.parquet")
    array = load_features(folder / "features" / params.head.features, images_hash=rows.images_hash)
    protocol = read_protocol(folder / "protocol.json")
    subsets = test_subsets(rows, protocol, most=params.scores.queries, seed=params.seed)
    inputs = torch.from_numpy(array).to(device()).float()
    return DataSet(name, rows, protocol, inputs, subsets, clusters(rows, read_families(folder / "rows.parquet")))


def train_apart(params: Params, name: str) -> TrainedHead:
    """The head of `params` trained on data set `name`; that data set's own head stays as it is."""
    from pipeline.stages.train import train, training_summary

    there = params.model_copy(update={"data": params.data.model_copy(update={"name": name})})
    check_origin(there, there.head.features)
    training = train(there)
    print(training_summary(training))
    return training.head


def evaluations(similarity: Similarity, one: DataSet) -> Evaluation:
    size = one.protocol.list_size
    return merge_evaluations(
        [
            evaluate_subset(similarity, one.rows.labels, subset=subset, candidates=size, threshold=0.0)
            for subset in one.subsets.values()
        ]
    )


def compare(head: TrainedHead, source: DataSet, target: DataSet, *, baseline: Evaluation, note: str) -> TransferRow:
    """The head of `source` on `target`, query by query against the baseline."""
    hits = np.stack(
        [evaluations(similarity, target).by_query[METRIC] for similarity in head.similarities(target.inputs)]
    )
    gain = paired_interval(hits, baseline.by_query[METRIC], clusters=target.clusters.astype(str)[baseline.queries])
    known = known_queries(source, target, baseline.queries)
    if known:
        note = f"{known} of {len(baseline.queries)} queries are images that training has seen; {note}".rstrip("; ")
    return TransferRow(
        source.name,
        target.name,
        head=round(float(hits.mean()), 4),
        baseline=round(float(baseline.by_query[METRIC].mean()), 4),
        gain=round(gain.mean, 4),
        half_width=round(gain.half_width, 4),
        queries=len(baseline.queries),
        known_queries=known,
        note=note,
    )


def known_queries(source: DataSet, target: DataSet, queries: NDArray[np.int64]) -> int:
    """Number of `queries` (rows of `target`) whose image is, byte for byte, in train or val of another data set."""
    if source.name == target.name:
        return 0
    trained = source.rows.sha256[source.rows.split != "test"]
    return int(np.isin(target.rows.sha256[queries].astype(str), trained.astype(str)).sum())


def transfer_text(features: str, table: Sequence[TransferRow]) -> str:
    lines = [f"{METRIC} on {features}, per cent; gain over the baseline with its 95 % interval"]
    lines += [f"  {'trained on':16}{'scored on':16}{'head':>7}{'baseline':>10}{'gain':>15}"]
    for row in table:
        gain = f"{100 * row.gain:+.1f} ±{100 * row.half_width:5.1f}"
        scores = f"{100 * row.head:>7.1f}{100 * row.baseline:>10.1f}{gain:>15}"
        lines.append(f"  {row.trained_on:16}{row.scored_on:16}{scores}  {row.note}".rstrip())
    return "\n".join(lines)

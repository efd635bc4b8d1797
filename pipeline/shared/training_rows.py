"""Rows that train, rows that choose the epoch, and history.csv: for heads and for networks."""

import numpy as np
from numpy.typing import NDArray

from data.tables.rows import Rows
from heads.settings import HeadSettings
from heads.training.samplers import TrainingSet, make_training_set
from pipeline.shared.csv_text import csv_of_dicts
from pipeline.shared.splits import queries_and_gallery, split_rows

VAL_QUERIES = 2000  # at most: enough to tell epochs apart, few enough for every epoch


def training_set(rows: Rows, settings: HeadSettings) -> TrainingSet:
    """The rows of the train split, with their groups and, for pairs, their sides."""
    chosen = split_rows(rows, "train")
    sides = (rows.role[chosen] == "right").astype(np.int64) if rows.has_roles else None
    return make_training_set(chosen, rows.labels[chosen], sides, images=settings.images_per_group)


def val_queries(rows: Rows, *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the val queries, `VAL_QUERIES` at most, and of the val gallery."""
    queries, gallery = queries_and_gallery(rows, "val")
    if len(queries) > VAL_QUERIES:
        queries = np.sort(np.random.default_rng(seed).choice(queries, VAL_QUERIES, replace=False))
    return queries, gallery


def history_csv(history: list[dict[str, float]]) -> bytes:
    return csv_of_dicts(history)

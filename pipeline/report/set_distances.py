"""Fréchet distances between sets of images that one would like to know alike or apart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.tables.rows import Rows
from heads.metrics.frechet import frechet_distance, frechet_floor

SET_SIZE = 1000  # images of each set, at most
FEWEST = 4


def set_distances(rows: Rows, features: NDArray[np.float32], embeddings: NDArray[np.float32]) -> list[dict[str, Any]]:
    """One line per pair of sets: its name, images per set, and distance and floor of features and of embeddings.

    features (N, D), embeddings (N, E).
    """
    lines = []
    for name, masks in _sets(rows).items():
        size = min(SET_SIZE, *(int(mask.sum()) for mask in masks), int(masks[1].sum()) // 2 * 2)
        if size < FEWEST:
            continue
        rng = np.random.default_rng(0)
        first, second = (np.sort(rng.permutation(np.flatnonzero(mask))[:size]) for mask in masks)
        cells = []
        for vectors in (features, embeddings):
            unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            both = rng.permutation(np.union1d(first, second))[: 2 * size]
            cells += [frechet_distance(unit[first], unit[second]), frechet_floor(unit[both])]
        lines.append({"name": name, "size": f"{size:,}", "cells": [f"{1000 * cell:.1f}" for cell in cells]})
    return lines


def _sets(rows: Rows) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    test = rows.split == "test"
    sets = {"train and test": (rows.split == "train", test)}
    if rows.has_roles:
        sets["left and right"] = (test & (rows.role == "left"), test & (rows.role == "right"))
    if (test & rows.seen).any() and (test & ~rows.seen).any():
        sets["seen and unseen"] = (test & rows.seen, test & ~rows.seen)
    return sets

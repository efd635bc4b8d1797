"""A head from arrays, without params.yaml: `from heads import train_head`."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from heads.errors import HeadError
from heads.models.transforms import fit_transform
from heads.settings import parse_head_settings
from heads.store import TrainedHead
from heads.training.collapse import no_gain_warning
from heads.training.samplers import make_training_set
from heads.training.seeds import train_heads
from heads.training.selection import calibrate_on_val, epoch_score

FEWEST = 3  # val groups: `select: top2` needs more than two
MAX_PAIRS = 20_000  # val pairs of each kind that the threshold is chosen on


def train_head(
    features: ArrayLike | Tensor,
    labels: ArrayLike,
    settings: Mapping[str, Any] | None = None,
    *,
    val: NDArray[np.bool_] | None = None,
    val_share: float = 0.2,
    candidates: int = 20,
    seed: int = 0,
) -> TrainedHead:
    """Train a head on features of any network.

    Val rows choose the epoch, the threshold and the calibration, as in the pipeline; the head never trains on them.
    A collapsed training, or one without an epoch better than its start, is a UserWarning.

    Args:
        features: (N, D).
        labels: (N,) the group of every row; rows of one group are positives.
        settings: as the section `head` of params.yaml, without `features`: `{"loss": "triplet", "epochs": 20}`.
        val: (N,) which rows are val; by default `val_share` of the groups, drawn from `seed`.
        candidates: length of the lists of the val score `top2`.
        seed: of the first head; the others have seed + 1, ...

    Raises:
        HeadError: a setting that cannot be, lengths that differ, or too few groups to train or to choose on.

    >>> import numpy as np
    >>> from heads import evaluate, train_head
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(np.arange(60), 6)
    >>> signal = rng.normal(size=(60, 16))[labels] + 0.5 * rng.normal(size=(360, 16))
    >>> features = np.concatenate([signal, 2 * rng.normal(size=(360, 16))], axis=1)  # half of the columns are noise
    >>> seen = labels < 40
    >>> head = train_head(features[seen], labels[seen], {"loss": "supcon", "lr": 0.01, "batch": 64})
    >>> scores = evaluate(features[~seen], labels[~seen], head=head)
    >>> bool(scores["recall_at_1"].head > scores["recall_at_1"].baseline + 0.2)
    True
    """
    chosen = parse_head_settings({"features": "", **(settings or {})})
    inputs = features.float() if isinstance(features, Tensor) else torch.from_numpy(np.array(features, np.float32))
    groups = np.unique(np.asarray(labels), return_inverse=True)[1]
    if inputs.ndim != 2 or len(inputs) != len(groups):
        raise HeadError(f"features {tuple(inputs.shape)} and {len(groups)} labels: give (N, D) and (N,)")
    held_out = _val_rows(groups, val_share, seed) if val is None else np.asarray(val, bool)
    if len(held_out) != len(groups):
        raise HeadError(f"val has {len(held_out)} entries for {len(groups)} rows: give one per row")
    rows, val_rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    training_set = make_training_set(rows, groups[rows], None, images=chosen.images_per_group)
    transform = fit_transform(
        chosen.transform,
        inputs[torch.from_numpy(training_set.rows)],
        components=chosen.components,
        power=chosen.whitening,
    )
    transformed = transform(inputs)
    validate = epoch_score(transformed, groups, chosen, queries=val_rows, gallery=val_rows, candidates=candidates)
    trained = train_heads(transformed, training_set, chosen, seed=seed, validate=validate)
    heads, best_epochs = [one.head for one in trained], [one.best for one in trained]
    messages = [message for one in trained for message in one.warnings]
    if chosen.model != "identity":
        messages += no_gain_warning(best_epochs, select=chosen.select, where="settings")
    for message in messages:
        warnings.warn(message, UserWarning, stacklevel=2)
    a, b, positive = _val_pairs(groups, val_rows, np.random.default_rng(seed))
    thresholds, calibration = calibrate_on_val(heads, transformed, chosen, a=a, b=b, same=positive)
    return TrainedHead(
        settings=chosen,
        width=inputs.shape[1],
        groups=training_set.groups,
        transform=transform,
        heads=heads,
        thresholds=thresholds,
        calibration=calibration,
        best_epochs=best_epochs,
        features_sha256="",
        images_hash="",
        protocol_sha256="",
    )


def _val_rows(groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """(N,) bool: the rows of `share` of the groups that have several rows."""
    several = np.flatnonzero(np.bincount(groups) > 1)
    count = max(FEWEST, round(share * len(several)))
    if count > len(several) - 2:
        raise HeadError(f"{len(several)} groups with several rows are too few to hold {count} out: give `val`")
    return np.isin(groups, np.random.default_rng(seed).permutation(several)[:count])


def _val_pairs(
    groups: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Rows a (P,), b (P,) and whether they are positive: as many of each kind."""
    rows = rng.permutation(rows)
    first, second = np.triu_indices(min(len(rows), 2000), 1)
    same = groups[rows[first]] == groups[rows[second]]
    kinds = [rng.permutation(np.flatnonzero(kind)) for kind in (same, ~same)]
    count = min(MAX_PAIRS, *(len(kind) for kind in kinds))
    if not count:
        raise HeadError("val rows have no positive or no negative pairs, so no threshold can be chosen: enlarge `val`")
    chosen = np.concatenate([kind[:count] for kind in kinds])
    return rows[first[chosen]], rows[second[chosen]], same[chosen]

"""The protocol of prepared rows: evaluation lists, counts and rejected images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.datasets.source import first_five
from data.errors import DataError
from data.preparation.evaluation_lists import (
    check_way,
    choose_pairs,
    draw_candidates,
    draw_episodes,
    draw_pairs,
    draw_triplets,
)
from data.preparation.rng import generator
from data.settings import DataSettings
from data.tables.protocol import PairList, Protocol, Rejected, SubmitLists
from data.tables.rows import SPLITS, Rows


@dataclass(frozen=True)
class Attribution:
    """Who made the data and on what terms, for the protocol."""

    dataset: str
    source: str
    licence: str


def draw_protocol(
    rows: Rows,
    *,
    attribution: Attribution,
    group_level: str,
    split_by: str,
    settings: DataSettings,
    seed: int,
    rejected: Sequence[Rejected] = (),
    notes: Sequence[str] = (),
    submit: SubmitLists | None = None,
    own_pairs: PairList | None = None,
) -> Protocol:
    """Draw the candidate lists, pairs, triplets and episodes of val and test.

    `own_pairs`: those that the data set itself says match or do not; where a part has both kinds, they are its pairs.

    Raises:
        DataError: a list cannot be drawn as `settings` say.
    """
    notes = list(notes)
    parts = evaluation_parts(rows)
    wanted = settings.episodes
    if wanted.way is not None:
        notes += check_way(rows, parts, way=wanted.way, images=wanted.shot + wanted.queries)
    pairs, triplets, episodes = {}, {}, {}
    for name, part in parts.items():
        pairs[name] = draw_pairs(rows, part, count=settings.pairs, rng=generator(seed, f"pairs {name}"))
        if own_pairs and pairs[name]:
            chosen = choose_pairs(own_pairs, part, count=settings.pairs, rng=generator(seed, f"own pairs {name}"))
            pairs[name] = chosen or pairs[name]
            kept = f"{len(chosen.a) // 2:,} + {len(chosen.a) // 2:,}" if chosen else "none"
            notes.append(f"pairs of {name} that the data set itself judges, matching + not: {kept}")
        triplets[name] = draw_triplets(rows, part, count=settings.triplets, rng=generator(seed, f"triplets {name}"))
        episodes[name] = draw_episodes(
            rows,
            part,
            count=wanted.count,
            way=wanted.way,
            shot=wanted.shot,
            queries=wanted.queries,
            rng=generator(seed, f"episodes {name}"),
        )
    if parts.keys() & {"val"} and pairs["val"] is None:
        raise DataError(
            "data.splits: no val image has both a match and images of other groups beside it, so no epoch can be "
            "chosen; raise data.splits.val, or add groups or images"
        )
    tests = [part for name, part in parts.items() if name != "val"]
    return Protocol(
        dataset=attribution.dataset,
        source=attribution.source,
        licence=attribution.licence,
        seed=seed,
        group_level=group_level,
        split_by=split_by,
        rows=rows.hash,
        counts=_counts(rows, rejected),
        candidates=draw_candidates(rows, tests, size=settings.candidates, rng=generator(seed, "candidates")),
        pairs={name: drawn for name, drawn in pairs.items() if drawn is not None},
        triplets={name: drawn for name, drawn in triplets.items() if drawn is not None},
        episodes={name: drawn for name, drawn in episodes.items() if drawn is not None},
        submit=submit,
        rejected=tuple(rejected),
        notes=(*notes, *(_not_scored(rows, name, parts[name]) for name, drawn in pairs.items() if drawn is None)),
    )


def _not_scored(rows: Rows, name: str, part: NDArray[np.int64]) -> str:
    groups = sorted(set(rows.group[part]))
    return (
        f"{name} is not scored: none of its {len(part)} images has both a match and images of other groups beside it "
        f"({first_five(groups)})"
    )


def evaluation_parts(rows: Rows) -> dict[str, NDArray[np.int64]]:
    """Row numbers of the parts of the data that lists are drawn from; empty ones are left out."""
    test = rows.split == "test"
    masks = {"val": rows.split == "val"}
    if rows.has_roles:
        masks["test"] = test
    else:
        masks |= {"test_seen": test & rows.seen, "test_unseen": test & ~rows.seen}
    return {name: np.flatnonzero(mask).astype(np.int64) for name, mask in masks.items() if mask.any()}


def _counts(rows: Rows, rejected: Sequence[Rejected]) -> dict:
    """Images and groups: in all, of each split, seen and unseen in test; what was rejected, by reason."""
    masks = {name: rows.split == name for name in (*SPLITS, "submit")}
    masks |= dict.fromkeys(("test_seen", "test_unseen"), np.zeros(len(rows), dtype=bool))
    if not rows.has_roles:
        masks |= {"test_seen": masks["test"] & rows.seen, "test_unseen": masks["test"] & ~rows.seen}
    return {
        "images": len(rows),
        "groups": len(set(rows.group)),
        "splits": {
            name: {"images": int(mask.sum()), "groups": len(set(rows.group[mask]))}
            for name, mask in masks.items()
            if mask.any()
        },
        "rejected": dict(sorted(Counter(image.reason for image in rejected).items())),
    }

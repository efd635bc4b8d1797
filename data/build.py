"""A source to its three files: check every image, deal splits, freeze the lists, write.

Images are read twice: once to check and hash them, once to write. Between the two every decision is made on what is
known to be good: splits and lists never meet a broken image, and identical pictures never straddle a split.
"""

import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.check import Checked, check_all
from data.decode import Unusable
from data.draw import generator
from data.errors import DataError
from data.files import sha256_bytes
from data.lists import draw_candidates, draw_episodes, draw_pairs, draw_triplets
from data.protocol import Protocol, Rejected, write_protocol
from data.rows import SPLITS, Rows
from data.settings import DataSettings
from data.source import Item, Source
from data.splits import deal, families
from data.write import open_rows


@dataclass(frozen=True)
class Title:
    """Who made the data, for the protocol."""

    dataset: str
    source: str
    licence: str


def build(
    source: Source,
    out: Path,
    *,
    title: Title,
    settings: DataSettings,
    seed: int,
    max_rejected: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Protocol:
    """Write images.parquet, rows.parquet and protocol.json into `out`. Rows are sorted by id.

    `progress` is called with the number of images just finished; each counts twice (checked, written).

    Raises:
        DataError: nothing usable, too many rejected, names that clash, an empty split, lists that cannot be drawn.
    """
    items = source.items
    _check_ids(items)
    order = sorted(range(len(items)), key=lambda index: items[index].id)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out) as spool:  # thumbnails wait on disk; gone even when killed
        ends = array("q", [0])
        good: list[int] = []
        hashes: list[str] = []
        rejected: list[Rejected] = []
        animated = 0
        for index, answer in zip(order, check_all(source.read(order), len(order)), strict=True):
            progress(1)
            if isinstance(answer, Checked):
                good.append(index)
                hashes.append(answer.sha256)
                animated += answer.animated
                spool.write(answer.thumb)
                ends.append(ends[-1] + len(answer.thumb))
            else:
                rejected.append(Rejected(items[index].id, answer.reason, answer.detail))
        whole = _whole_groups(items, good, rejected)
        _check_rejected(rejected, len(items), max_rejected, title.dataset)
        kept = [good[place] for place in whole]
        rows = _rows([items[index] for index in kept], [hashes[place] for place in whole], settings, seed)
        progress(len(items) - len(kept))

        with open_rows(out / "rows.parquet", rows, picture="thumb") as writer:
            for place in whole:
                spool.seek(ends[place])
                writer.append(spool.read(ends[place + 1] - ends[place]))
    with open_rows(out / "images.parquet", rows, picture="image") as writer:
        for row, content in enumerate(source.read(kept)):
            if isinstance(content, Unusable) or sha256_bytes(content) != rows.sha256[row]:
                raise DataError(f"{rows.id[row]}: changed while it was being prepared; run again")
            writer.append(content)
            progress(1)

    notes = list(source.notes)
    if animated:
        notes.append(f"{animated} animated images: the first frame is used")
    protocol = _freeze(rows, title, source.group_level, settings, seed, tuple(rejected), tuple(notes))
    write_protocol(protocol, out / "protocol.json")
    return protocol


def _check_ids(items: Sequence[Item]) -> None:
    if not items:
        raise DataError("data: no images found")
    names = Counter(item.id for item in items)
    if len(names) < len(items):
        raise DataError(f"data: the same id twice: {_five(name for name, count in names.items() if count > 1)}")
    folded: dict[str, str] = {}
    clashes = []
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            clashes.append(f"{other} = {name}")
    if clashes:
        raise DataError(f"data: names that differ in case only, on some systems one file: {_five(clashes)}; rename")


def _whole_groups(items: Sequence[Item], good: list[int], rejected: list[Rejected]) -> list[int]:
    """Places in `good` that stay: where images have roles, one without its partner goes too, and is listed."""
    if not items[0].role:
        return list(range(len(good)))
    roles: dict[str, set[str]] = defaultdict(set)
    for index in good:
        roles[items[index].group].add(items[index].role)
    whole = []
    for place, index in enumerate(good):
        if roles[items[index].group] == {"left", "right"}:
            whole.append(place)
        else:
            rejected.append(Rejected(items[index].id, "partner", "its partner cannot be used"))
    return whole


def _check_rejected(rejected: list[Rejected], total: int, allowed: float, dataset: str) -> None:
    if len(rejected) > allowed * total:
        named = _five(f"{image.id} ({image.reason})" for image in rejected)
        raise DataError(
            f"data.max_rejected: {len(rejected)} of {total} images of {dataset} cannot be used, {allowed:.0%} may be: "
            f"{named}; mend them or raise data.max_rejected"
        )
    if len(rejected) == total:
        raise DataError(f"data: none of the {total} images of {dataset} can be used")


def _rows(items: list[Item], hashes: list[str], settings: DataSettings, seed: int) -> Rows:
    text = {name: np.array([getattr(item, name) for item in items], dtype=object) for name in ("id", "group", "role")}
    split = _split_by_group(items, hashes, settings, seed)
    trained = {item.group for item, where in zip(items, split, strict=True) if where == "train"}
    return Rows(
        **text,
        split=np.array(split, dtype=object),
        seen=np.array([item.group in trained for item in items], dtype=bool),
        sha256=np.array(hashes, dtype=object),
    )


def _split_by_group(items: list[Item], hashes: list[str], settings: DataSettings, seed: int) -> list[str]:
    """Deal groups whole; groups of one family, or that share a picture, go together."""
    labels: dict[str, set[str]] = defaultdict(set)
    for item, digest in zip(items, hashes, strict=True):
        labels[item.group] |= {f"family {item.family or item.group}", f"picture {digest}"}
    groups = sorted(labels)
    number = families([sorted(labels[group]) for group in groups])
    dealt = deal(np.bincount(number).tolist(), settings.splits.model_dump(), generator(seed, "splits"))
    where = {group: dealt[family] for group, family in zip(groups, number, strict=True)}
    split = [where[item.group] for item in items]
    for name in SPLITS:
        if name not in split:
            raise DataError(
                f"data.splits: no image falls into {name}: {len(groups)} groups in {len(dealt)} families; "
                f"add groups or raise data.splits.{name}"
            )
    return split


def _freeze(
    rows: Rows,
    title: Title,
    group_level: str,
    settings: DataSettings,
    seed: int,
    rejected: tuple[Rejected, ...],
    notes: tuple[str, ...],
) -> Protocol:
    parts = _parts(rows)
    tests = [part for name, part in parts.items() if name != "val"]
    pairs, triplets, episodes = {}, {}, {}
    for name, part in parts.items():
        if (drawn := draw_pairs(rows, part, count=settings.pairs, rng=generator(seed, f"pairs {name}"))) is not None:
            pairs[name] = drawn
        found = draw_triplets(rows, part, count=settings.triplets, rng=generator(seed, f"triplets {name}"))
        if found is not None:
            triplets[name] = found
        chosen = draw_episodes(
            rows,
            part,
            count=settings.episodes.count,
            way=settings.episodes.way,
            shot=settings.episodes.shot,
            queries=settings.episodes.queries,
            rng=generator(seed, f"episodes {name}"),
        )
        if chosen is not None:
            episodes[name] = chosen
    return Protocol(
        dataset=title.dataset,
        source=title.source,
        licence=title.licence,
        seed=seed,
        group_level=group_level,
        rows=rows.hash,
        counts=_counts(rows, rejected),
        candidates=draw_candidates(rows, tests, size=settings.candidates, rng=generator(seed, "candidates")),
        pairs=pairs,
        triplets=triplets,
        episodes=episodes,
        rejected=rejected,
        notes=notes,
    )


def _parts(rows: Rows) -> dict[str, np.ndarray]:
    """The parts of the data that lists are drawn from; empty ones are left out."""
    test = rows.split == "test"
    parts = {"val": rows.split == "val"}
    if rows.has_roles:
        parts["test"] = test
    else:
        parts |= {"test_seen": test & rows.seen, "test_unseen": test & ~rows.seen}
    return {name: np.flatnonzero(mask).astype(np.int64) for name, mask in parts.items() if mask.any()}


def _counts(rows: Rows, rejected: tuple[Rejected, ...]) -> dict:
    """Images and groups of each split, and what was rejected by reason."""
    splits = {}
    for name in SPLITS:
        mask = rows.split == name
        splits[name] = {"images": int(mask.sum()), "groups": len(set(rows.group[mask]))}
    return {
        "images": len(rows),
        "groups": len(set(rows.group)),
        "splits": splits,
        "rejected": dict(sorted(Counter(image.reason for image in rejected).items())),
    }


def _five(names) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

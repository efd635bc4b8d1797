"""A source to its three files: choose, check every image, split, freeze the lists, write.

Images are read twice: once to check and hash them, once to write. Between the two every decision is made on what is
known to be good: splits and lists never meet a broken image, and identical pictures never straddle a split of ours.
"""

import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data.datasets.source import Item, Source, first_five, shown
from data.errors import DataError
from data.files.atomic import sha256_bytes
from data.images.decode import Unusable
from data.preparation.check import Checked, check_all
from data.preparation.choose import choose, seen_groups
from data.preparation.draw_protocol import Title, freeze
from data.preparation.leaks import shared_pictures
from data.preparation.row_writer import open_rows
from data.preparation.splits import Plan, split
from data.settings import DataSettings
from data.tables.protocol import Protocol, Rejected, SubmitLists, write_protocol
from data.tables.rows import Rows


def build(
    source: Source,
    out: Path,
    *,
    title: Title,
    settings: DataSettings,
    seed: int,
    by: str,
    max_rejected: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Protocol:
    """Write images.parquet, rows.parquet and protocol.json into `out`. Rows are sorted by id.

    `by` is what a split deals, images or groups. `progress` is called with the number of images just finished; each of
    the source's items counts twice (checked, written).

    Raises:
        DataError: nothing usable, too many rejected, names that clash, an empty split, a leak, lists that cannot be
            drawn.
    """
    items = source.items
    _check_ids(items)
    if source.has_roles and settings.seen is not None:
        raise DataError(f"data.seen: groups of {title.dataset} are pairs, whose test is never seen; leave it null")
    seen = seen_groups(items, settings.seen)
    chosen, hidden = choose(items, seen=seen, groups=settings.groups, limit=settings.limit, seed=seed)
    if not chosen:
        raise DataError("data.seen, data.groups and data.limit leave no image")
    progress(2 * (len(items) - len(chosen)))
    order = sorted(chosen, key=lambda index: items[index].id)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out) as spool:  # thumbnails wait on disk; gone even when killed
        ends = array("q", [0])
        good: list[int] = []
        hashes: list[str] = []
        looks: list[bytes] = []
        rejected: list[Rejected] = []
        animated = 0
        for index, answer in zip(order, check_all(source.read(order), len(order)), strict=True):
            progress(1)
            if isinstance(answer, Checked):
                good.append(index)
                hashes.append(answer.sha256)
                looks.append(answer.look)
                animated += answer.animated
                spool.write(answer.thumb)
                ends.append(ends[-1] + len(answer.thumb))
            else:
                rejected.append(Rejected(items[index].id, answer.reason, answer.detail))
        whole = _whole_groups(items, good, rejected) if source.has_roles else range(len(good))
        _check_rejected(rejected, len(order), max_rejected, title.dataset)
        kept = [good[place] for place in whole]
        rows = _rows(
            [items[index] for index in kept],
            [hashes[place] for place in whole],
            _plan(source, settings, seen, by),
            seed,
        )
        notes = [*source.notes, *_notes(rows, hidden, animated, settings.allow_leak)]
        submit = _submit(source, kept)
        progress(len(order) - len(kept))

        beside = {
            "families": [items[index].family or items[index].group for index in kept],
            "looks": [looks[place] for place in whole],
        }
        with open_rows(out / "rows.parquet", rows, picture="thumb", **beside) as writer:
            for place in whole:
                spool.seek(ends[place])
                writer.append(spool.read(ends[place + 1] - ends[place]))
    with open_rows(out / "images.parquet", rows, picture="image") as writer:
        for row, content in enumerate(source.read(kept)):
            if isinstance(content, Unusable) or sha256_bytes(content) != rows.sha256[row]:
                raise DataError(f"{shown(rows.id[row])}: changed while it was being prepared; run again")
            writer.append(content)
            progress(1)
    protocol = freeze(
        rows,
        title=title,
        group_level=source.group_level,
        split_by=by,
        settings=settings,
        seed=seed,
        rejected=rejected,
        notes=notes,
        submit=submit,
    )
    write_protocol(protocol, out / "protocol.json")
    return protocol


def _check_ids(items: Sequence[Item]) -> None:
    if not items:
        raise DataError("data: no images found")
    names = Counter(item.id for item in items)
    if len(names) < len(items):
        raise DataError(f"data: the same id twice: {first_five(name for name, count in names.items() if count > 1)}")
    folded: dict[str, str] = {}
    clashes = [f"{other} = {name}" for name in names if (other := folded.setdefault(name.casefold(), name)) != name]
    if clashes:
        raise DataError(
            f"data: names that differ in case only, which some systems take for one file: {first_five(clashes)}; rename"
        )


def _whole_groups(items: Sequence[Item], good: list[int], rejected: list[Rejected]) -> list[int]:
    """Places in `good` that stay: an image without its partner goes too, and is listed."""
    roles: dict[str, set[str]] = defaultdict(set)
    for index in good:
        roles[items[index].group].add(items[index].role)
    whole = []
    for place, index in enumerate(good):
        if items[index].part == "submit" or roles[items[index].group] == {"left", "right"}:
            whole.append(place)
        else:
            rejected.append(Rejected(items[index].id, "partner", "its partner cannot be used"))
    return whole


def _check_rejected(rejected: list[Rejected], total: int, allowed: float, dataset: str) -> None:
    if len(rejected) <= allowed * total and len(rejected) < total:
        return
    named = first_five(f"{shown(image.id)} ({image.reason})" for image in rejected)
    raise DataError(
        f"data.max_rejected: {len(rejected)} of {total} images of {dataset} cannot be used, {allowed:.0%} may be: "
        f"{named}; mend or remove them, or raise data.max_rejected"
    )


def _plan(source: Source, settings: DataSettings, seen: set[str], by: str) -> Plan:
    given = any(item.part == "test" for item in source.items)
    if given and settings.folds is not None:
        raise DataError("data.folds: this data set has test images of its own; leave it null")
    return Plan(
        by=by,
        shares=settings.splits,
        seen=frozenset(seen),
        deal_tests=settings.seen is None and not given,
        folds=settings.folds,
        fold=settings.fold,
    )


def _rows(items: list[Item], hashes: list[str], plan: Plan, seed: int) -> Rows:
    where = split(items, hashes, plan, seed=seed)
    trained = {item.group for item, name in zip(items, where, strict=True) if name == "train"}
    text = {name: np.array([getattr(item, name) for item in items], dtype=object) for name in ("id", "group", "role")}
    return Rows(
        **text,
        split=np.array(where, dtype=object),
        seen=np.array([item.group in trained for item in items], dtype=bool),
        sha256=np.array(hashes, dtype=object),
    )


def _notes(rows: Rows, hidden: int, animated: int, allow_leak: bool | None) -> list[str]:
    """What a reader of the scores must know. A leak is allowed, or fails."""
    notes = []
    if hidden:
        notes.append(f"{hidden} training images of unseen groups left out: their groups are tested with other images")
    if animated:
        notes.append(f"{animated} animated images: the first frame is used")
    leaks = shared_pictures(rows)
    if leaks:
        named = first_five(" = ".join(shown(rows.id[row]) for row in leak) for leak in leaks)
        text = f"{len(leaks)} pictures lie in more than one split, byte for byte: {named}"
        if not allow_leak:
            raise DataError(f"data.allow_leak: {text}; remove them, or set data.allow_leak to true")
        notes.append(f"LEAK allowed: {text}")
    return notes


def _submit(source: Source, kept: list[int]) -> SubmitLists | None:
    if not source.submit:
        return None
    row = {index: place for place, index in enumerate(kept)}
    lost = [index for query, listed in source.submit for index in (query, *listed) if index not in row]
    if lost:
        names = first_five(source.items[index].id for index in lost)
        raise DataError(f"data: the submission needs images that cannot be used: {names}; mend them")
    return SubmitLists(
        query=np.array([row[query] for query, _ in source.submit], dtype=np.int64),
        candidates=np.array([[row[index] for index in listed] for _, listed in source.submit], dtype=np.int64),
    )

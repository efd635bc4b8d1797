"""A source to its three files: choose, check every image, split, draw the lists, write.

Images are read twice: once to check and hash them, once to write. Between the two every decision is made on what is
known to be good: splits and lists never meet a broken image, and identical images never straddle a split of ours.
"""

import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from data.datasets.source import Item, Source, first_five, shown
from data.errors import DataError
from data.files.atomic import name_errors, sha256_bytes
from data.images.decode import Unusable
from data.preparation.checked_images import Thumbnails, check_images
from data.preparation.choose import choose, seen_groups
from data.preparation.draw_protocol import Attribution, draw_protocol
from data.preparation.duplicates import shared_images
from data.preparation.parquet_writer import open_rows
from data.preparation.splits import SplitPlan, assign_splits
from data.settings import DataSettings
from data.tables.protocol import PairList, Protocol, Rejected, SubmitLists, write_protocol
from data.tables.rows import Rows


def build(
    source: Source,
    out: Path,
    *,
    attribution: Attribution,
    settings: DataSettings,
    seed: int,
    split_by: str,
    max_rejected: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Protocol:
    """Write images.parquet, rows.parquet and protocol.json into `out`. Rows are sorted by id.

    `progress` is called with the number of images just finished; each of the source's items counts twice (checked,
    written).

    Raises:
        DataError: nothing usable, too many rejected, names that clash, an empty split, a leak, lists that cannot be
            drawn.
    """
    items = source.items
    _check_ids(items)
    if source.has_roles and settings.seen is not None:
        raise DataError(
            f"data.seen: groups of {attribution.dataset} are pairs, none of the test is seen; leave it null"
        )
    seen = seen_groups(items, settings.seen)
    chosen, hidden = choose(items, seen=seen, groups=settings.groups, limit=settings.limit, seed=seed)
    if not chosen:
        raise DataError("data.seen, data.groups and data.limit leave no image")
    progress(2 * (len(items) - len(chosen)))
    order = sorted(chosen, key=lambda index: items[index].id)
    out.mkdir(parents=True, exist_ok=True)
    with name_errors(out), tempfile.TemporaryFile(dir=out) as spool:  # thumbnails wait on disk; gone even when killed
        checked = check_images(source, order, Thumbnails(spool), progress)
        if source.has_roles:
            checked.leave_out_partners(items)
        _check_rejected(checked.rejected, len(order), max_rejected, attribution.dataset)
        rows = _rows(
            [items[index] for index in checked.index],
            checked.sha256,
            _plan(source, settings, seen, split_by),
            seed,
        )
        notes = [*source.notes, *_notes(rows, hidden, checked.animated, settings.allow_leak)]
        if split_by == "image":
            notes += _train_only(rows, [items[index].part for index in checked.index])
        submit = _submit(source, checked.index)
        own_pairs = _own_pairs(source, checked.index)
        progress(len(order) - len(rows))
        families = [items[index].family or items[index].group for index in checked.index]
        with open_rows(out / "rows.parquet", rows, picture="thumb", families=families, dhashes=checked.dhash) as writer:
            for number in checked.thumb:
                writer.append(checked.thumbnails.read(number))
    with open_rows(out / "images.parquet", rows, picture="image") as writer:
        for row, content in enumerate(source.read(checked.index)):
            if isinstance(content, Unusable) or sha256_bytes(content) != rows.sha256[row]:
                raise DataError(f"{shown(rows.id[row])}: changed while it was being prepared; run again")
            writer.append(content)
            progress(1)
    protocol = draw_protocol(
        rows,
        attribution=attribution,
        group_level=source.group_level,
        split_by=split_by,
        settings=settings,
        seed=seed,
        rejected=checked.rejected,
        notes=notes,
        submit=submit,
        own_pairs=own_pairs,
    )
    write_protocol(protocol, out / "protocol.json")
    return protocol


def _check_ids(items: Sequence[Item]) -> None:
    if not items:
        raise DataError("data: no images found")
    _check_group_names({item.group for item in items})
    names = Counter(item.id for item in items)
    if len(names) < len(items):
        raise DataError(f"data: the same id twice: {first_five(name for name, count in names.items() if count > 1)}")
    folded: dict[str, str] = {}
    clashes = [f"{other} = {name}" for name in names if (other := folded.setdefault(name.casefold(), name)) != name]
    if clashes:
        raise DataError(
            f"data: names that differ in case only, which some systems take for one file: {first_five(clashes)}; rename"
        )


def _check_group_names(groups: Iterable[str]) -> None:
    """
    Raises:
        DataError: two groups differ in case, blanks or the spelling of accents only, and are surely one.
    """
    spellings: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        spellings[" ".join(unicodedata.normalize("NFC", group).casefold().split())].add(group)
    twice = [" = ".join(repr(name) for name in sorted(names)) for names in spellings.values() if len(names) > 1]
    if twice:
        raise DataError(
            f"data: groups whose names differ in case, blanks or the spelling of accents only: {first_five(twice)}; "
            f"give them one name, or two that differ"
        )


def _check_rejected(rejected: list[Rejected], total: int, allowed: float, dataset: str) -> None:
    if len(rejected) <= allowed * total and len(rejected) < total:
        return
    named = first_five(f"{shown(image.id)} ({image.reason})" for image in rejected)
    raise DataError(
        f"data.max_rejected: {len(rejected)} of {total} images of {dataset} cannot be used, {allowed:.0%} may be: "
        f"{named}; mend or remove them, or raise data.max_rejected"
    )


def _plan(source: Source, settings: DataSettings, seen: set[str], split_by: str) -> SplitPlan:
    given = any(item.part == "test" for item in source.items)
    if given and settings.folds is not None:
        raise DataError("data.folds: this data set has test images of its own; leave it null")
    return SplitPlan(
        split_by=split_by,
        shares=settings.splits,
        seen=frozenset(seen),
        draw_test=settings.seen is None and not given,
        folds=settings.folds,
        fold=settings.fold,
    )


def _rows(items: list[Item], hashes: list[str], plan: SplitPlan, seed: int) -> Rows:
    splits = assign_splits(items, hashes, plan, seed=seed)
    trained = {item.group for item, name in zip(items, splits, strict=True) if name == "train"}
    text = {name: np.array([getattr(item, name) for item in items], dtype=object) for name in ("id", "group", "role")}
    return Rows(
        **text,
        split=np.array(splits, dtype=object),
        seen=np.array([item.group in trained for item in items], dtype=bool),
        sha256=np.array(hashes, dtype=object),
    )


def _notes(rows: Rows, hidden: int, animated: int, allow_leak: bool | None) -> list[str]:
    """What a reader of the scores must know.

    Raises:
        DataError: an image lies in two splits, and `allow_leak` is not set.
    """
    notes = []
    if hidden:
        notes.append(f"{hidden} training images of unseen groups left out: their groups are tested with other images")
    if animated:
        notes.append(f"{animated} animated images: the first frame is used")
    leaks = shared_images(rows)
    if leaks:
        named = first_five(" = ".join(shown(rows.id[row]) for row in leak) for leak in leaks)
        text = f"{len(leaks)} pictures lie in more than one split, byte for byte: {named}"
        if not allow_leak:
            raise DataError(f"data.allow_leak: {text}; remove them, or set data.allow_leak to true")
        notes.append(f"LEAK allowed: {text}")
    return notes


def _train_only(rows: Rows, parts: Sequence[str]) -> list[str]:
    """Groups that are too small to be tested, though their publisher leaves that to us."""
    free = {group for group, part in zip(rows.group, parts, strict=True) if part in ("", "train")}
    held_out = set(rows.group[rows.split != "train"])
    small = Counter(rows.group[np.isin(rows.group, list(free - held_out))])
    if not small:
        return []
    named = first_five(
        f"{group}: {count}" for group, count in sorted(small.items(), key=lambda item: (item[1], item[0]))
    )
    return [
        f"{len(small)} groups have too few images to be tested, and only train ({named}); data.split_by=group "
        f"would hold out whole groups"
    ]


def _own_pairs(source: Source, kept: list[int]) -> PairList | None:
    row = {index: place for place, index in enumerate(kept)}
    usable = [(row[a], row[b], same) for a, b, same in source.pairs if a in row and b in row]
    if not usable:
        return None
    a, b, same = zip(*usable, strict=True)
    return PairList(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64), np.array(same, dtype=bool))


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

"""protocol.json: what was prepared and on what it is scored, frozen. Its sha256 is the identity of an evaluation.

The file ends with that sha256, which every load checks. All lists hold row numbers (int64) into rows.parquet and
images.parquet.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.errors import PREPARE_AGAIN, DataError
from data.files.atomic import sha256_bytes, write_bytes

Ints = NDArray[np.int64]
SEAL = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n\Z')  # how the file ends


@dataclass(frozen=True)
class CandidateLists:
    """Q queries of the test split, each with C candidates of which exactly one has the query's group."""

    query: Ints  # (Q,)
    candidates: Ints  # (Q, C)
    truth: Ints  # (Q,) the column of the true one


@dataclass(frozen=True)
class SubmitLists:
    """Queries whose true candidate only the challenge knows; `submit` ranks them."""

    query: Ints  # (Q,)
    candidates: Ints  # (Q, C)


@dataclass(frozen=True)
class PairList:
    """P pairs, half of the same group and half of different groups."""

    a: Ints  # (P,)
    b: Ints  # (P,)
    same: NDArray[np.bool_]  # (P,)


@dataclass(frozen=True)
class TripletList:
    """T triplets; the positive has the anchor's group, the negative another one."""

    anchor: Ints  # (T,)
    positive: Ints  # (T,)
    negative: Ints  # (T,)


@dataclass(frozen=True)
class EpisodeList:
    """E K-way N-shot episodes: in each, K groups with N support and M query rows a group, no row twice."""

    support: Ints  # (E, K, N)
    query: Ints  # (E, K, M)

    @property
    def way(self) -> int:
        return self.support.shape[1]

    @property
    def shot(self) -> int:
        return self.support.shape[2]


@dataclass(frozen=True)
class Rejected:
    """An image that was left out at preparation."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Protocol:
    """The lists of `pairs`, `triplets` and `episodes` are keyed by the part of the data they are drawn from: `val`, and
    `test_seen` / `test_unseen` by whether training saw their groups. Where groups are pairs no test group is ever seen,
    and the key is `test`. A part that is too small for a list has no key.
    """

    dataset: str
    source: str
    licence: str
    seed: int
    group_level: str
    rows: str  # Rows.hash: these images, groups and splits in this order
    counts: dict[str, Any]
    candidates: CandidateLists | None = None
    pairs: dict[str, PairList] = field(default_factory=dict)
    triplets: dict[str, TripletList] = field(default_factory=dict)
    episodes: dict[str, EpisodeList] = field(default_factory=dict)
    submit: SubmitLists | None = None
    split_by: str = "image"  # or "group": then no group is in two splits
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def list_size(self) -> int:
        """C, the images in a candidate list.

        Raises:
            DataError: the protocol has no candidate lists.
        """
        if self.candidates is None:
            raise DataError("the protocol has no candidate lists; run `dvc repro prepare`")
        return self.candidates.candidates.shape[1]

    @cached_property
    def content(self) -> bytes:
        """The canonical bytes: sorted keys, no spaces, UTF-8, one newline at the end."""
        plain = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "surrogateescape") + b"\n"

    @cached_property
    def sha256(self) -> str:
        return sha256_bytes(self.content)


def write_protocol(protocol: Protocol, path: Path) -> None:
    write_bytes(path, protocol.content.removesuffix(b"}\n") + f',"sha256":"{protocol.sha256}"}}\n'.encode())


def read_protocol(path: Path) -> Protocol:
    """
    Raises:
        DataError: the file is missing, is of another version, or is not what `write_protocol` wrote.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: not here; run `dvc repro prepare`") from None
    seal = SEAL.search(content)
    if seal is None:
        raise DataError(f"{path}: no protocol of this version, or cut off: no sha256 at its end; {PREPARE_AGAIN}")
    plain = content[: seal.start()] + b"}\n"
    if sha256_bytes(plain) != seal[1].decode():
        raise DataError(f"{path}: changed: its sha256 is another; {PREPARE_AGAIN}")
    try:
        return _protocol(json.loads(plain.decode("utf-8", "surrogateescape")))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise DataError(f"{path}: no protocol of this version ({reason}); {PREPARE_AGAIN}") from None


def check_rows(protocol: Protocol, rows_hash: str) -> None:
    """
    Raises:
        DataError: the lists are of other rows than those of `rows_hash` (`Rows.hash`).
    """
    if protocol.rows != rows_hash:
        raise DataError("protocol.json was frozen for other rows than rows.parquet holds; run `dvc repro prepare`")


def _protocol(raw: dict[str, Any]) -> Protocol:
    candidates, submit = raw.pop("candidates"), raw.pop("submit")
    return Protocol(
        candidates=None if candidates is None else _load(CandidateLists, candidates),
        submit=None if submit is None else _load(SubmitLists, submit),
        pairs={name: _load(PairList, value) for name, value in raw.pop("pairs").items()},
        triplets={name: _load(TripletList, value) for name, value in raw.pop("triplets").items()},
        episodes={name: _load(EpisodeList, value) for name, value in raw.pop("episodes").items()},
        rejected=tuple(Rejected(**value) for value in raw.pop("rejected")),
        notes=tuple(raw.pop("notes")),
        **raw,
    )


List = TypeVar("List", CandidateLists, SubmitLists, PairList, TripletList, EpisodeList)


def _load(kind: type[List], raw: Mapping[str, Any]) -> List:
    return kind(**{name: np.array(value, dtype=bool if name == "same" else np.int64) for name, value in raw.items()})


def _plain(value: Any) -> Any:
    match value:
        case np.ndarray():
            return value.astype(np.int64).tolist()  # 0 and 1 for `same`: shorter than false and true
        case CandidateLists() | SubmitLists() | PairList() | TripletList() | EpisodeList() | Rejected():
            return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case _:
            return value

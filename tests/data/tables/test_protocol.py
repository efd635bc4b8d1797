import json
from contextlib import suppress

import numpy as np
import pytest

from data.errors import DataError
from data.files.atomic import sha256_bytes
from data.tables.protocol import (
    CandidateLists,
    EpisodeList,
    PairList,
    Protocol,
    Rejected,
    SubmitLists,
    TripletList,
    read_protocol,
    write_protocol,
)


def full() -> Protocol:
    a, b = np.array([0, 1]), np.array([2, 3])
    return Protocol(
        dataset="tiny",
        source="made here",
        licence="MIT",
        seed=3,
        group_level="class",
        rows="ab",
        counts={"images": 4, "rejected": {"truncated": 1}},
        candidates=CandidateLists(query=a, candidates=np.array([[2, 3], [3, 2]]), truth=np.array([0, 0])),
        pairs={"val": PairList(a=a, b=b, same=np.array([True, False]))},
        triplets={"test": TripletList(anchor=a, positive=b, negative=b[::-1])},
        episodes={"test": EpisodeList(support=np.zeros((5, 2, 1), np.int64), query=np.ones((5, 2, 3), np.int64))},
        submit=SubmitLists(query=a, candidates=np.array([[2, 3], [3, 2]])),
        rejected=(Rejected("ü/\n", "truncated", "3 bytes"),),
        notes=("a note",),
    )


def test_it_comes_back_as_it_was(tmp_path):
    write_protocol(full(), tmp_path / "protocol.json")
    back = read_protocol(tmp_path / "protocol.json")
    assert back.content == full().content
    written = json.loads((tmp_path / "protocol.json").read_bytes())
    assert written.pop("sha256") == full().sha256 and written == json.loads(full().content)
    assert back.sha256 == full().sha256
    assert back.pairs["val"].same.dtype == bool
    assert back.pairs["val"].same.tolist() == [True, False]
    assert back.candidates.candidates.dtype == np.int64
    assert back.episodes["test"].query.shape == (5, 2, 3)
    assert back.submit.candidates.tolist() == [[2, 3], [3, 2]]
    assert back.rejected == full().rejected


def test_without_lists(tmp_path):
    bare = Protocol("d", "s", "l", 0, "pair", "r", {})
    write_protocol(bare, tmp_path / "p")
    back = read_protocol(tmp_path / "p")
    assert back.candidates is None
    assert back.submit is None
    assert back.pairs == back.triplets == back.episodes == {}


def test_any_change_changes_the_hash():
    base = full()
    for name, value in [("seed", 4), ("rows", "ac"), ("notes", ()), ("candidates", None)]:
        fields = {**{key: getattr(base, key) for key in base.__dataclass_fields__}, name: value}
        assert Protocol(**fields).sha256 != base.sha256


@pytest.mark.parametrize("content", ["", "{}", "[1]", "not json", '{"candidates": null}', "null", "[" * 100_000])
def test_another_file_is_said(tmp_path, content):
    (tmp_path / "p").write_text(content)
    with pytest.raises(DataError, match=r"p: no protocol of this version.*; run `dvc repro prepare`"):
        read_protocol(tmp_path / "p")
    with pytest.raises(DataError, match=r"nowhere: not here; run `dvc repro prepare`"):
        read_protocol(tmp_path / "nowhere")


def seal(path, raw: object) -> None:
    """`raw` with a sha256 that fits."""
    plain = json.dumps(raw, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(plain[:-2] + f',"sha256":"{sha256_bytes(plain)}"}}\n'.encode())


@pytest.mark.parametrize("key", [*json.loads(full().content), "later"])
def test_a_value_of_another_kind_is_one_line_or_kept(tmp_path, key):
    for value in ("abc", None, 3, [3], {"a": 3}, {"a": {"b": 3}}, [[10**30]], {"query": [10**30]}):
        seal(tmp_path / "p", json.loads(full().content) | {key: value})
        with suppress(DataError):
            read_protocol(tmp_path / "p")


def test_another_version_is_said(tmp_path):
    seal(tmp_path / "p", json.loads(full().content) | {"later": 1})
    with pytest.raises(DataError, match=r"no protocol of this version \(TypeError: .*'later'"):
        read_protocol(tmp_path / "p")


def test_one_changed_bit_anywhere_is_said(tmp_path):
    write_protocol(full(), tmp_path / "p")
    content = (tmp_path / "p").read_bytes()
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "p").write_bytes(damaged)
        with pytest.raises(DataError, match=r"run `dvc repro prepare`"):
            read_protocol(tmp_path / "p")
    for stop in range(0, len(content), 23):
        (tmp_path / "p").write_bytes(content[:stop])
        with pytest.raises(DataError, match=r"run `dvc repro prepare`"):
            read_protocol(tmp_path / "p")

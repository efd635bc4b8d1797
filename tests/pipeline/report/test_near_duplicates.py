"""Pairs of equal shape are near duplicates where colours and features agree too."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.preparation.audit import Audit, NearDuplicates
from pipeline.report import near_duplicates
from pipeline.report.near_duplicates import confirm, near_pairs

COLOURS = ["white", "red", "yellow", "green", "#fefefe"]


@pytest.fixture(autouse=True)
def flags(monkeypatch):
    """Row i is a flag: the colour i above red."""

    def thumbs(path: Path, rows: np.ndarray) -> list[bytes]:
        contents = []
        for row in rows:
            flag = Image.new("RGB", (60, 40), "red")
            flag.paste(COLOURS[row], (0, 0, 60, 20))
            stream = io.BytesIO()
            flag.save(stream, "PNG")
            contents.append(stream.getvalue())
        return contents

    monkeypatch.setattr(near_duplicates, "read_thumbs", thumbs)


def audited(*pairs: tuple[int, int]) -> Audit:
    found = {("train", "test"): NearDuplicates(np.array(pairs, np.int64).reshape(-1, 2), len(pairs))}
    return Audit(identical=[], contradictions=[], near=found, straddling=[])


def test_flags_of_other_colours_are_no_duplicates():
    found = confirm(audited((0, 1), (0, 4), (2, 3)), Path("rows.parquet"))
    assert near_pairs(found).tolist() == [[0, 4]] and found.near["train", "test"].total == 1


def test_features_decide_where_there_are_any():
    far = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    near = far.copy()
    near[4] = near[0] + 0.01
    pairs = audited((0, 4))
    assert len(near_pairs(confirm(pairs, Path("rows.parquet"), features=near))) == 1
    assert len(near_pairs(confirm(pairs, Path("rows.parquet"), features=far))) == 0


def test_nothing_near():
    assert near_pairs(confirm(audited(), Path("rows.parquet"))).shape == (0, 2)

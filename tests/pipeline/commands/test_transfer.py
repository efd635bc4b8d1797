"""Two made-up data sets that share features: heads trained on each, scored on both."""

import csv
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import FOLDER, class_rows, make_params, make_run, pair_rows

from pipeline.commands.transfer import OUT, known_queries, load_data_set, run
from pipeline.errors import ParamError


@pytest.fixture(autouse=True)
def two(tmp_path, monkeypatch):
    """`artifacts/pairs` and `artifacts/classes`, both with features `made_up`."""
    monkeypatch.chdir(tmp_path)
    for name, rows in (("pairs", pair_rows()), ("classes", class_rows())):
        make_run(rows, noise=2.0)
        FOLDER.rename(FOLDER.with_name(name))


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_every_pair_of_data_sets(capsys):
    before = digest(Path("artifacts"))
    params = make_params()
    head = params.head.model_copy(update={"epochs": 8, "lr": 0.03, "schedule": "constant"})
    run(params.model_copy(update={"head": head}))
    assert digest(Path("artifacts")) == before  # no head of theirs is touched
    lines = list(csv.DictReader(OUT.read_text().splitlines()))
    assert [(line["trained_on"], line["scored_on"]) for line in lines] == [
        (source, target) for source in ("classes", "pairs") for target in ("classes", "pairs")
    ]
    for line in lines:
        assert float(line["gain"]) == pytest.approx(float(line["head"]) - float(line["baseline"]), abs=2e-4)
        assert float(line["half_width"]) > 0 or line["head"] == line["baseline"]
    assert float(lines[0]["gain"]) > 0  # classes on classes: the head learns something
    assert lines[0]["baseline"] == lines[2]["baseline"]
    said = capsys.readouterr().out
    assert "top2 on made_up, per cent; gain over the baseline with its 95 % interval" in said
    assert f"  wrote {OUT}" in said


def test_one_data_set_is_not_enough():
    shutil.rmtree("artifacts/pairs")
    with pytest.raises(ParamError) as error:
        run(make_params())
    assert str(error.value) == (
        "transfer needs two prepared data sets with features 'made_up', found classes; "
        "set data.name in params.yaml to another and run `dvc repro`"
    )


def test_queries_that_training_on_the_other_data_set_has_seen_are_marked(capsys):
    params = make_params()
    source, target = (load_data_set(name, params) for name in ("classes", "pairs"))
    queries = np.flatnonzero(target.rows.split == "test")
    new = np.array([f"new {row}" for row in range(len(target.rows.sha256))], dtype=object)
    new[queries[:3]] = source.rows.sha256[source.rows.split == "train"][:3]
    new[queries[3]] = source.rows.sha256[source.rows.split == "test"][0]  # training on `classes` did not see it
    assert known_queries(source, replace(target, rows=replace(target.rows, sha256=new)), queries) == 3
    assert known_queries(source, source, queries) == 0
    run(params)
    counts = [int(row["known_queries"]) for row in csv.DictReader(OUT.read_text().splitlines())]
    printed = capsys.readouterr().out
    assert counts[0] == counts[3] == 0
    assert all(f"{count} of" in printed for count in counts if count)

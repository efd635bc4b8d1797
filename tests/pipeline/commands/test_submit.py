"""`submit` on a small data set in the challenge's layout, from its files to the CSV."""

import csv
import io
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import usable
from small_images import encode

from data.errors import DataError
from data.tables.protocol import read_protocol
from data.tables.rows import read_rows
from features.storage.features_files import load_features
from heads.store import load_head
from pipeline.commands import submit
from pipeline.params import Params, parse_params
from pipeline.report.load_run import load_run
from pipeline.stages import extract, prepare, train

pytestmark = pytest.mark.forward

PAIRS, QUERIES, SIZE = 24, 5, 4


def challenge(folder: Path) -> Path:
    """Names without order, so that a sorted one is noticed; candidates shared by several queries."""
    draw = np.random.default_rng(0)
    names = [f"{'xyzw'[number % 4]}{number:02}" for number in draw.permutation(90)]
    left, right, queries, pool = names[:PAIRS], names[30:54], names[60 : 60 + QUERIES], names[70:82]
    listed = [list(draw.choice(pool, SIZE, replace=False)) for _ in queries]
    files = {f"train/{role}/{name}.png" for role, side in (("left", left), ("right", right)) for name in side}
    files |= {f"test/left/{name}.png" for name in queries}
    files |= {f"test/right/{name}.png" for those in listed for name in those}
    for seed, name in enumerate(sorted(files)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(seed))
    table = [["left", "right"], *map(list, zip(left, right, strict=True))]
    test = [["left", *(f"c{column}" for column in range(SIZE))]]
    test += [[query, *those] for query, those in zip(queries, listed, strict=True)]
    for name, lines in (("train.csv", table), ("test_candidates.csv", test)):
        (folder / name).write_text("\n".join(",".join(line) for line in lines) + "\n")
    return folder


def settings(**head) -> Params:
    return parse_params(
        {
            "data": {"name": "tll", "path": "challenge", "candidates": 3, "pairs": 20, "triplets": 20},
            "backbones": {"small": usable.SMALL},
            "features": {"backbones": ["small"], "batch": 4, "workers": 0},
            "head": {"features": "small", "seeds": 2, "epochs": 1, "dim": 8, **head},
        }
    )


@pytest.fixture
def params(tmp_path, monkeypatch, request) -> Params:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    challenge(Path("challenge"))
    made = settings(**getattr(request, "param", {}))
    prepare.run(made)
    extract.run(made, "small")
    train.run(made)
    return made


def written(path: Path = submit.OUT) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


PAIR_MODEL = {"model": "pair_mlp", "loss": "bce", "negatives": "random:3"}


@pytest.mark.parametrize("params", [{}, {"distance": "euclidean"}, PAIR_MODEL], indirect=True)
def test_confidences_rank_as_the_head_does(params, capsys):
    capsys.readouterr()
    submit.run(params)
    said = "submit: 5 queries, 4 candidates each, in the order of test_candidates.csv -> build/submission.csv\n"
    assert capsys.readouterr().out == said
    template = written(Path("challenge/test_candidates.csv"))
    lines = written()
    assert list(lines[0]) == ["left", "c0", "c1", "c2", "c3"]
    assert [line["left"] for line in lines] == [line["left"] for line in template]
    rows = read_rows(Path("artifacts/tll/rows.parquet"))
    place = {name: row for row, name in enumerate(rows.id)}
    array = load_features(Path("artifacts/tll/features/small"), images_hash=rows.images_hash)
    trained = load_head(Path("artifacts/tll/head"))
    each = trained.similarities(torch.from_numpy(array).float())
    for line, given in zip(lines, template, strict=True):
        query = torch.tensor([place[f"test/left/{given['left']}"]])
        those = torch.tensor([place[f"test/right/{given[column]}"] for column in ("c0", "c1", "c2", "c3")])
        similarity = torch.stack([one.block(query, those)[0] for one in each]).mean(0).numpy()
        odds = np.exp((trained.calibration.slope or 1) * similarity.astype(np.float64))
        found = np.array([float(line[f"c{column}"]) for column in range(SIZE)])
        np.testing.assert_allclose(found, odds / odds.sum(), rtol=2e-2)
        assert found.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("method", ["csls", "one_to_one"])
def test_reranking_compares_all_queries_with_all_candidates(params, method, capsys):
    plain = submit.confidences(load_run(params), read_protocol(Path("artifacts/tll/protocol.json")).submit)
    scores = params.scores.model_copy(update={"rerank": method})
    submit.run(params.model_copy(update={"scores": scores}))
    assert f"re-ranked with all queries at once ({method})" in capsys.readouterr().out
    found = np.array([[float(line[f"c{column}"]) for column in range(SIZE)] for line in written()])
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert not np.allclose(found, plain)
    # What changes is an amount per candidate image: lists that share two images agree on it.
    lists = read_protocol(Path("artifacts/tll/protocol.json")).submit.candidates
    slope = load_head(Path("artifacts/tll/head")).calibration.slope or 1
    change = (np.log(found) - np.log(plain)) / slope
    for a, b in combinations(range(QUERIES), 2):
        shared = np.intersect1d(lists[a], lists[b])
        if len(shared) > 1:
            of_a, of_b = (change[row][[np.flatnonzero(lists[row] == image)[0] for image in shared]] for row in (a, b))
            np.testing.assert_allclose(of_a - of_a[0], of_b - of_b[0], atol=1e-3)


def test_the_table_in_a_zip_or_gone(params, capsys):
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.write("challenge/test_candidates.csv", "COMP/test_candidates.csv")
    zipped = params.model_copy(update={"data": params.data.model_copy(update={"path": "all.zip"})})
    submit.run(zipped, Path("a.csv"))
    assert capsys.readouterr().out.endswith("in the order of test_candidates.csv -> a.csv\n")
    gone = params.model_copy(update={"data": params.data.model_copy(update={"path": "gone"})})
    submit.run(gone, Path("b.csv"))
    assert "not checked: no test_candidates.csv in gone -> b.csv" in capsys.readouterr().out
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
            r"line 2 \(.*\) is not what was prepared; it changed",
        ),
        (lambda lines: lines[:-1], "4 queries, prepared 5; it changed since; run `dvc repro`"),
        (lambda lines: [lines[0].replace("c3", "d3"), *lines[1:]], "columns c0,c1,c2,d3, prepared c0,c1,c2,c3"),
    ],
)
def test_another_table_than_was_prepared(params, change, message):
    table = Path("challenge/test_candidates.csv")
    table.write_text("\n".join(change(table.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=r"challenge: test_candidates\.csv: " + message):
        submit.run(params)
    assert not submit.OUT.exists()


def test_a_data_set_without_such_queries(tmp_path, monkeypatch):
    from evaluated import make_params, make_run, pair_rows

    monkeypatch.chdir(tmp_path)
    make_run(pair_rows())
    with pytest.raises(DataError, match=r"emoji has no queries without truth to submit; `data\.name: tll`"):
        submit.run(make_params())


def test_the_protocol_keeps_the_order_of_the_table(params):
    lists = read_protocol(Path("artifacts/tll/protocol.json")).submit
    assert lists.query.tolist() != sorted(lists.query.tolist())

"""The whole stage on small made-up data, pairs and classes; its numbers against the cores and against loops."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from edited_head import edit_head
from evaluated import FOLDER, class_rows, make_params, make_protocol, make_run, pair_rows
from PIL import Image

from data.errors import DataError
from data.tables.protocol import write_protocol
from features.storage.features_files import load_features, save_features
from heads.errors import HeadError
from heads.metrics.intervals import mean_interval
from pipeline.errors import ParamError
from pipeline.runs.query_scores import parse_queries
from pipeline.stages.evaluate import run
from pipeline.stages.train import train

FILES = {"table.csv", "queries.parquet", "hit_rate.csv", "similarity.csv", "roc.csv", "confusion.csv", "gallery.png"}
FILES |= {"confused.csv", "groups.csv"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(**scores):
    run(make_params(**scores))
    return json.loads(Path("metrics.json").read_text())


def read(name):
    return list(csv.DictReader((FOLDER / "scores" / name).read_text().splitlines()))


def table():
    return {(row["subset"], row["score"]): row for row in read("table.csv")}


def test_pairs(here, capsys):
    make_run(pair_rows())
    numbers = evaluate()
    # Few enough that `dvc exp show` stays readable; all scores are in table.csv.
    assert list(numbers) == [
        *("top1", "top2", "top2_ci", "recall_at_1", "map_at_r", "mrr", "auc", "balanced_accuracy", "pair_loss"),
        *("baseline", "chance", "protocol"),
    ]
    assert {("test", name) for name in ("top5", "eer", "triplet_accuracy", "frozen top2")} <= set(table())
    assert numbers["chance"] == {"top2": 0.4, "recall_at_1": 0.05}
    assert numbers["top2"] > numbers["baseline"]["top2"] > 0.4
    assert float(table()["test", "top5"]["head"]) == 1  # lists of five
    assert {path.name for path in (FOLDER / "scores").iterdir()} == FILES
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "emoji · made_up · linear, contrastive, 2 seeds; 20 queries, in per cent:"
    assert said[1].split() == ["head", "baseline", "chance"]
    assert said[3].split()[0] == "top2"
    assert said[-1] == "  wrote metrics.json and artifacts/emoji/scores"


def test_baseline_equals_a_loop(here):
    """Plain cosine, by hand: sort each query's gallery, count where its partner is."""
    rows = pair_rows()
    make_run(rows)
    numbers = evaluate()
    features = load_features(FOLDER / "features/made_up", images_hash=rows.images_hash).astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    left, right = (np.flatnonzero((rows.split == "test") & (rows.role == role)) for role in ("left", "right"))
    found = []
    for query in left:
        order = sorted(right, key=lambda g: -(unit[query] @ unit[g]))
        found.append(rows.group[order[0]] == rows.group[query])
    assert numbers["baseline"]["recall_at_1"] == pytest.approx(np.mean(found), abs=1e-4)


def test_classes_seen_and_unseen_and_episodes(here):
    make_run(class_rows())
    numbers = evaluate()
    assert {"seen", "unseen", "fewshot"} <= set(numbers)
    assert numbers["fewshot"]["chance"] == pytest.approx(1 / 3, abs=1e-4)
    lines = table()
    sizes = {"seen": 24, "unseen": 48}
    expected = sum(sizes[part] * float(lines[part, "top2"]["head"]) for part in sizes) / 72
    assert numbers["top2"] == pytest.approx(expected, abs=1e-4)
    assert numbers["seen"]["top2"] == pytest.approx(float(lines["seen", "top2"]["head"]), abs=1e-4)
    answers = read("confusion.csv")
    assert len(answers) == 72
    assert {row["actual"] for row in answers} == set(class_rows().group[class_rows().split == "test"])
    right = [float(row["actual"] == row["predicted"]) for row in answers]
    assert float(lines["test", "knn_accuracy"]["baseline"]) > float(lines["test", "knn_accuracy"]["chance"])
    assert np.mean(right) == pytest.approx(
        float(lines["test", "knn_accuracy"]["head"]), abs=0.1
    )  # the first of two seeds


def test_families_stand_or_fall_together(here):
    rows = pair_rows()
    make_run(rows, noise=2.0)
    evaluate()
    apart, single_lists = table()["test", "mrr"], table()["test", "frozen top2"]
    make_run(rows, noise=2.0, families=[f"f{int(name[1:]) // 4}" for name in rows.group])
    evaluate()
    together, lists = table()["test", "mrr"], table()["test", "frozen top2"]
    assert together["head"] == apart["head"]
    assert together["half_width"] != apart["half_width"]
    assert lists["half_width"] != single_lists["half_width"]
    queries = pq.read_table(FOLDER / "scores/queries.parquet").to_pylist()
    assert {query["cluster"] for query in queries} == {f"f{i}" for i in range(10, 15)}
    values = np.array([query["mrr"] for query in queries if query["model"] == "head"]).reshape(2, 20)
    expected = mean_interval(values, clusters=np.arange(20) // 4, n_bootstrap=100)
    assert float(together["half_width"]) == pytest.approx(expected.half_width, rel=1e-3)


def test_fewer_queries_of_the_same_gallery(here, capsys):
    make_run(class_rows(), noise=2.0)
    every = evaluate()
    per_query = {q["id"]: q for q in pq.read_table(FOLDER / "scores/queries.parquet").to_pylist() if q["seed"] == 0}
    frozen = table()["test", "frozen top2"]
    numbers = evaluate(queries=36)
    assert "queries" not in every
    assert numbers["queries"] == 36
    assert "; 36 queries (scores.queries: at most 36), in per cent:" in capsys.readouterr().out
    found = [q for q in pq.read_table(FOLDER / "scores/queries.parquet").to_pylist() if q["seed"] == 0]
    assert sum(q["seen"] for q in found if q["model"] == "head") == 12  # of 24 seen and 48 unseen
    for query in found:
        if query["model"] == "baseline":
            assert query["map_at_r"] == per_query[query["id"]]["map_at_r"]
    assert table()["test", "frozen top2"]["baseline"] == frozen["baseline"]
    again = evaluate(queries=36)
    assert again == numbers
    assert evaluate(queries=5000) == every | {"queries": 72}


def test_every_group_has_its_line(here):
    rows = class_rows()
    make_run(rows, noise=2.0)
    numbers = evaluate()
    lines = read("groups.csv")
    assert [line["group"] for line in lines] == sorted(set(rows.group))
    assert {line["group"] for line in lines if line["seen"] == "true"} == {f"c{i}" for i in range(6)}
    assert [int(line["queries"]) for line in lines] == [4] * 6 + [12] * 4
    queries = pq.read_table(FOLDER / "scores/queries.parquet").to_pylist()
    for line in lines:
        for name in ("recall_at_1", "map_at_r"):
            for model, column in (("head", name), ("baseline", f"{name}_baseline")):
                mine = [q[name] for q in queries if q["model"] == model and q["id"].startswith(line["group"] + "/")]
                assert float(line[column]) == pytest.approx(np.mean(mine), abs=1e-5)
    mean = np.average([float(line["map_at_r"]) for line in lines], weights=[int(line["queries"]) for line in lines])
    assert mean == pytest.approx(numbers["map_at_r"], abs=1e-4)


def test_the_most_confused_classes(here):
    make_run(class_rows(), noise=3.0)
    evaluate()
    lines = read("confused.csv")
    first = [(row["actual"], row["predicted"]) for row in read("confusion.csv")]  # of the first of two seeds
    counts = [float(line["count"]) for line in lines]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0
    for line in lines:
        assert line["actual"] != line["predicted"]
        assert float(line["share"]) == pytest.approx(float(line["count"]) / int(line["queries"]), abs=1e-5)
        of_first = first.count((line["actual"], line["predicted"]))
        assert of_first <= 2 * float(line["count"]) <= of_first + int(line["queries"])


def test_pairs_are_no_classes_to_confuse(here):
    make_run(pair_rows())
    evaluate()
    assert (FOLDER / "scores/confused.csv").read_text() == "actual,predicted,count,queries,share\n"


def test_two_runs_give_the_same_bytes(here):
    make_run(class_rows())
    evaluate()
    before = {path.name: path.read_bytes() for path in [*(FOLDER / "scores").iterdir(), here / "metrics.json"]}
    evaluate()
    for path in [*(FOLDER / "scores").iterdir(), here / "metrics.json"]:
        assert path.read_bytes() == before[path.name], path


def test_every_query_is_kept_for_comparison(here):
    rows = pair_rows()
    make_run(rows)
    numbers = evaluate()
    found = pq.read_table(FOLDER / "scores/queries.parquet")
    assert found.schema.metadata[b"protocol"].decode().startswith(numbers["protocol"])
    columns = found.to_pydict()
    assert len(found) == 3 * 20  # two seeds and no head
    top2 = [value for value, model in zip(columns["top2"], columns["model"], strict=True) if model == "head"]
    assert np.mean(top2) == pytest.approx(numbers["top2"], abs=1e-4)
    assert set(columns["id"]) == set(rows.id[(rows.split == "test") & (rows.role == "left")])


def test_one_changed_bit_in_the_kept_scores_gives_no_other_ones(here):
    make_run(pair_rows())
    evaluate()
    content = (FOLDER / "scores/queries.parquet").read_bytes()
    whole = parse_queries(content, name="whole")
    said = 0
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        try:
            found = parse_queries(bytes(damaged), name="damaged")
        except ParamError as error:
            said += "evaluate it again" in str(error)
            continue
        assert found.ids.tolist() == whole.ids.tolist() and found.clusters.tolist() == whole.clusters.tolist()
        if found.protocol == whole.protocol:
            for name, values in found.scores.items():
                np.testing.assert_array_equal(values, whole.scores.get(name, values))
    assert said > len(content) / 11 / 3


def test_plots_are_tables_that_agree_with_the_scores(here):
    make_run(pair_rows())
    numbers = evaluate()
    hits = read("hit_rate.csv")
    assert [row["k"] for row in hits] == ["1", "2", "3", "4", "5"]
    assert float(hits[1]["head"]) == pytest.approx(numbers["top2"], abs=1e-4)
    assert float(hits[1]["chance"]) == 0.4
    shares = read("similarity.csv")
    for kind in ("positive", "negative"):
        assert sum(float(row[kind]) for row in shares) == pytest.approx(1, abs=1e-3)
    curve = read("roc.csv")
    assert float(curve[-1]["false positive rate"]) == float(curve[-1]["head"]) == 1
    answers = [tuple(row.values()) for row in read("confusion.csv")]
    accuracy = (answers.count(("positive", "positive")) + answers.count(("negative", "negative"))) / len(answers)
    assert accuracy == pytest.approx(numbers["balanced_accuracy"], abs=0.06)  # the first of two seeds
    accepted = [float(row["head"]) for row in curve]
    assert accepted == sorted(accepted)


def test_the_gallery_is_a_picture(here):
    make_run(pair_rows(), noise=3)
    evaluate(gallery=1)
    small = Image.open(io.BytesIO((FOLDER / "scores/gallery.png").read_bytes()))
    assert small.format == "PNG"
    evaluate(gallery=8)
    assert Image.open(FOLDER / "scores/gallery.png").height > small.height


def test_embeddings_of_width_two_are_drawn(here):
    make_run(class_rows(), dim=2)
    evaluate()
    assert Image.open(FOLDER / "scores/plane.png").format == "PNG"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "images_hash",
            "artifacts/emoji: the head was trained on other images than rows.parquet holds; with data.name emoji, "
            "run `dvc repro train`",
        ),
        ("features_sha256", "the head was trained on other features than these; run `dvc repro train`"),
        (
            "protocol_sha256",
            "artifacts/emoji: the head was trained under another protocol.json; with data.name emoji, "
            "run `dvc repro train`",
        ),
    ],
)
def test_a_head_of_something_else(here, field, message):
    make_run(pair_rows())
    edit_head(FOLDER / "head", **{field: "0" * 64})
    with pytest.raises(HeadError) as error:
        evaluate()
    assert str(error.value) == message
    assert not (here / "metrics.json").exists()


def test_a_protocol_of_other_rows(here):
    rows = pair_rows()
    make_run(rows)
    protocol = replace(make_protocol(rows), rows="0" * 64)
    write_protocol(protocol, FOLDER / "protocol.json")
    edit_head(FOLDER / "head", protocol_sha256=protocol.sha256)
    for use in (evaluate, lambda: train(make_params())):
        with pytest.raises(DataError, match=r"frozen for other rows.*; run `dvc repro prepare`"):
            use()


def test_a_constant_head_is_chance_not_luck(here):
    rows = pair_rows()
    make_run(rows)
    save_features(FOLDER / "features/made_up", np.ones((120, 16)), images_hash=rows.images_hash, provenance={})
    make_head_constant(rows)
    numbers = evaluate()
    for name in ("top2", "recall_at_1", "auc", "eer", "balanced_accuracy", "triplet_accuracy"):
        expected = {"top2": 0.4, "recall_at_1": 0.05}.get(name, 0.5)
        assert float(table()["test", name]["head"]) == pytest.approx(expected, abs=1e-6), name
    assert numbers["top2_ci"] == 0


def make_head_constant(rows):
    from features.storage.features_files import read_sidecar

    edit_head(FOLDER / "head", features_sha256=read_sidecar(FOLDER / "features/made_up").npy_sha256)


@pytest.mark.parametrize("method", ["csls", "one_to_one"])
def test_reranked_scores_have_their_own_rows_and_section(here, capsys, method):
    make_run(pair_rows(), noise=2.0)
    plain = evaluate()
    numbers = evaluate(rerank=method)
    reranked = numbers.pop("rerank")
    assert numbers == plain
    assert (reranked["method"], reranked["transductive"]) == (method, True)
    line = table()["test", f"{method} recall_at_1"]
    assert reranked["recall_at_1"] == pytest.approx(float(line["head"]), abs=1e-4)
    assert reranked["baseline"]["recall_at_1"] == pytest.approx(float(line["baseline"]), abs=1e-4)
    assert reranked["recall_at_1"] > numbers["recall_at_1"]
    assert f"{method}: re-ranked with all test queries at once (transductive)" in capsys.readouterr().out

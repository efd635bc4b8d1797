"""What the report's templates show of a run: one function per section."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.preparation.audit import audit
from data.tables.rows import read_dhashes, read_thumbs
from heads.metrics.baselines import baseline_similarity
from heads.store import head_sha256
from pipeline.display_names import display_name
from pipeline.errors import ParamError
from pipeline.inference.data_urls import data_url
from pipeline.params import Params
from pipeline.report import charts
from pipeline.report.audit_lines import audit_lines
from pipeline.report.below_baseline import below_baseline
from pipeline.report.console import percent
from pipeline.report.embedding_map import draw_map
from pipeline.report.galleries import galleries
from pipeline.report.load_run import TrainedRun
from pipeline.report.near_duplicates import CHECKED, confirm, near_pairs
from pipeline.report.pretraining_overlap import known_beforehand
from pipeline.report.score_tables import scored_head
from pipeline.report.set_distances import set_distances
from pipeline.report.subsets import test_subsets
from pipeline.shared.csv_text import read_csv_dicts
from pipeline.stage_timings import LEDGER

Table = Sequence[dict[str, str]]  # of a csv file that evaluate wrote
GROUPS = 10  # shown as best, and as worst
NEAR = 64  # pairs of nearly identical images that are shown
HEADLINE = {
    "top2": "among the best 2 of a list",
    "recall_at_1": "first of the whole gallery",
    "auc": "AUC",
    "balanced_accuracy": "alike or not, balanced",
    "fewshot_accuracy": "few-shot",
}


def collect(run: TrainedRun, params: Params) -> dict[str, Any]:
    """
    Raises:
        ParamError: no scores of this run, or of another protocol or head.
    """
    scores, metrics = run.folder / "scores", Path("metrics.json")
    if not (scores / "table.csv").exists() or not metrics.exists():
        raise ParamError(f"{scores}: no scores of this run here; run `dvc repro evaluate`")
    protocol = json.loads(metrics.read_text()).get("protocol")
    if protocol != run.protocol.sha256[:16]:
        raise ParamError("metrics.json is of another protocol than protocol.json; run `dvc repro evaluate`")
    if scored_head(scores / "queries.parquet") != head_sha256(run.trained):
        raise ParamError(f"{scores}: scores of another head than the one that lies here; run `dvc repro evaluate`")
    table = read_csv_dicts(scores / "table.csv")
    subsets = test_subsets(run.rows, run.protocol, most=params.scores.queries, seed=params.seed)
    embeddings = run.trained.embeddings(run.inputs)[0].float().cpu().numpy()
    picture, caption = draw_map(run, subsets, embeddings)
    settings = run.trained.settings.model_dump(exclude_none=True, exclude_defaults=True)
    queries = sum(len(subset.queries) for subset in subsets.values())
    return {
        "title": run.title,
        "about": f"{queries:,} queries of the test split. Set: "
        + ", ".join(f"{name} {value}" for name, value in settings.items())
        + ".",
        "warnings": warnings(table, params),
        "headline": headline(table),
        "table": score_table(table),
        "charts": curves(run),
        "confusion": named_confusion(run),
        "confused": confused(run),
        "groups": best_and_worst(run),
        "galleries": galleries(
            run,
            subsets,
            sides=(run.trained.similarities(run.inputs)[0], baseline_similarity(run.inputs)),
            most=params.scores.gallery,
        ),
        "map": {"src": data_url(picture), "caption": caption},
        "distances": set_distances(run.rows, run.inputs.cpu().numpy(), embeddings),
        "audit": audit_section(run),
        "costs": costs(params.data.name),
        "protocol": protocol,
        "source": run.protocol.source,
        "licence": run.protocol.licence,
        "notes": list(run.protocol.notes),
    }


def warnings(table: Table, params: Params) -> list[str]:
    """Reasons to read the scores with care."""
    rows = [
        (row["subset"], row["score"], float(row["head"]), float(row["half_width"] or "nan"), float(row["baseline"]))
        for row in table
    ]
    return [
        each
        for each in (below_baseline(rows), known_beforehand(params, params.head.features, params.data.name))
        if each
    ]


def headline(table: Table) -> list[dict[str, str]]:
    """The scores in large letters, over the whole test split."""
    return [
        {
            "name": HEADLINE[line["score"]],
            "head": _percent(line["head"]) + (f" ± {_percent(line['half_width'])}" if line["half_width"] else ""),
            "baseline": _percent(line["baseline"]),
            "chance": _percent(line["chance"]),
        }
        for line in table
        if line["subset"] == "test" and line["score"] in HEADLINE
    ]


def score_table(table: Table) -> list[dict[str, Any]]:
    """Every score, subset by subset."""
    columns = ("head", "half_width", "half_width_seeds", "baseline", "projection", "chance")
    return [
        {
            "name": {"test": "all of the test split"}.get(subset, f"{subset} groups"),
            "lines": [
                {"score": line["score"].replace("_", " ")} | {column: _cell(line, column) for column in columns}
                for line in table
                if line["subset"] == subset
            ],
        }
        for subset in dict.fromkeys(line["subset"] for line in table)
    ]


def curves(run: TrainedRun) -> list[dict[str, str]]:
    """The line charts, each with a title and a caption."""
    scores = run.folder / "scores"
    shown = [
        (
            "Hit rate at k",
            charts.hit_rate(read_csv_dicts(scores / "hit_rate.csv")),
            "Expected, in random candidate lists.",
        ),
        (
            "Similarity",
            charts.similarity(read_csv_dicts(scores / "similarity.csv"), run.trained.thresholds[0]),
            "Of all pairs of a query and a gallery image.",
        ),
        ("ROC", charts.roc(read_csv_dicts(scores / "roc.csv")), "Mean over seeds."),
    ]
    history = read_csv_dicts(run.folder / "head" / "history.csv")
    if len({line["epoch"] for line in history}) > 1:
        score = next(name for name in history[0] if name.startswith("val_"))
        shown.append(("Score on val", charts.history(history, score), "One line per seed; the best epoch is kept."))
        shown.append(("Training loss", charts.history(history, "loss"), "One line per seed."))
    return [{"title": title, "svg": svg, "caption": caption} for title, svg, caption in shown]


def named_confusion(run: TrainedRun) -> dict[str, list]:
    found = charts.confusion(read_csv_dicts(run.folder / "scores" / "confusion.csv"))
    return found | {"names": [display_name(name, run.protocol.dataset) for name in found["names"]]}


def confused(run: TrainedRun) -> list[dict[str, Any]]:
    """The most frequent errors."""
    return [
        line
        | {name: display_name(line[name], run.protocol.dataset) for name in ("actual", "predicted")}
        | {"count": f"{float(line['count']):.1f}", "share": _percent(line["share"])}
        for line in read_csv_dicts(run.folder / "scores" / "confused.csv")
    ]


def best_and_worst(run: TrainedRun) -> list[dict[str, Any]]:
    """The groups with the best and the worst MAP@R; none where groups are pairs, which the galleries show."""
    if run.rows.has_roles:
        return []
    order = sorted(read_csv_dicts(run.folder / "scores" / "groups.csv"), key=lambda line: float(line["map_at_r"]))
    worst = order[: min(GROUPS, len(order) // 2)]
    best = order[::-1][: min(GROUPS, len(order) - len(worst))]
    columns = ("recall_at_1", "recall_at_1_baseline", "map_at_r", "map_at_r_baseline")
    return [
        {
            "title": title,
            "lines": [
                line
                | {"group": display_name(line["group"], run.protocol.dataset)}
                | {"cells": [_percent(line[name]) for name in columns]}
                for line in part
            ],
        }
        for title, part in (("Best", best), ("Worst", worst))
    ]


def audit_section(run: TrainedRun) -> dict[str, Any]:
    path, names = run.folder / "rows.parquet", run.rows.id
    found = audit(run.rows, run.protocol, read_dhashes(path), max_pairs=CHECKED)
    found = confirm(found, path, features=run.inputs.cpu().numpy())
    pairs = near_pairs(found)[:NEAR]
    thumbs = [data_url(thumb) for thumb in read_thumbs(path, pairs.ravel())]
    shown = [" ~ ".join(display_name(str(names[row]), run.protocol.dataset) for row in pair) for pair in pairs]
    return {
        "lines": audit_lines(found, run.protocol, run.rows),
        "near": [
            {"srcs": srcs, "caption": caption}
            for srcs, caption in zip(zip(thumbs[::2], thumbs[1::2], strict=True), shown, strict=True)
        ],
    }


def costs(dataset: str) -> list[dict[str, str]]:
    """The last run of each stage of this data set, if this machine ran any."""
    if not LEDGER.exists():
        return []
    return list({line["stage"]: line for line in read_csv_dicts(LEDGER) if line["dataset"] == dataset}.values())


def _cell(line: dict[str, str], column: str) -> str:
    """In per cent, but for the one score that is a loss."""
    if line["score"] == "pair_loss":
        return f"{float(line[column]):.4f}" if line[column] else ""
    return _percent(line[column])


def _percent(cell: str) -> str:
    return percent(float(cell)) if cell else ""

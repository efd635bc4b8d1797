"""`python -m pipeline report`: one page (HTML, and Markdown) with all that is known of the run that lies here."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader

from data.datasets.source import shown
from data.files.atomic import write_bytes
from data.preparation.audit import audit
from data.tables.rows import read_dhashes, read_thumbs
from heads.metrics.baselines import baseline_similarity
from heads.metrics.evaluation import Subset
from heads.metrics.frechet import frechet_distance, frechet_floor
from pipeline.errors import ParamError
from pipeline.params import Params
from pipeline.report import charts
from pipeline.report.audit_lines import audit_lines, draw_pairs, near_pairs
from pipeline.report.galleries import data_url, galleries
from pipeline.report.load_run import Loaded, load_run
from pipeline.report.plane import draw_plane, place
from pipeline.report.pretraining_overlap import known_beforehand
from pipeline.report.subsets import test_subsets
from pipeline.stage_timings import LEDGER

OUT = Path("build/report")
MAPPED = 700  # images on the map
GROUPS = 10  # shown as best, and as worst
SET_SIZE = 1000  # images of each set in a Fréchet distance, at most
TEMPLATES = Path(__file__).parents[1] / "templates"


def run(params: Params, *, out: Path = OUT) -> None:
    """Write `index.html`, which needs nothing beside it, and `report.md`."""
    found = load_run(params)
    page = collect(found, params)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=lambda name: name.endswith(".html"))
    environment.filters["cell"] = lambda name: shown(name).replace("|", "\\|")
    for template, file in (("page.html", "index.html"), ("page.md", "report.md")):
        write_bytes(out / file, environment.get_template(template).render(page).encode())
    print(f"wrote {out / 'index.html'} and {out / 'report.md'}")


def collect(found: Loaded, params: Params) -> dict[str, Any]:
    """What the templates show."""
    scores, metrics = found.folder / "scores", Path("metrics.json")
    if not (scores / "table.csv").exists() or not metrics.exists():
        raise ParamError(f"{scores}: no scores of this run here; run `dvc repro evaluate`")
    numbers = json.loads(metrics.read_text())
    if numbers.get("protocol") != found.protocol.sha256[:16]:
        raise ParamError("metrics.json is of another protocol than protocol.json; run `dvc repro evaluate`")
    table = _read(scores / "table.csv")
    subsets = test_subsets(found.rows, found.protocol, most=params.scores.queries, seed=params.seed)
    head, baseline = found.trained.similarities(found.inputs)[0], baseline_similarity(found.inputs)
    first = found.trained.embeddings(found.inputs)[0].float().cpu().numpy()
    queries = sum(len(subset.queries) for subset in subsets.values())
    return {
        "title": found.title,
        "about": f"{queries:,} queries of the test split. {_settings(found)}",
        "warning": known_beforehand(params, params.head.features, params.data.name),
        "headline": _headline(table),
        "table": _table(table),
        "charts": _charts(found),
        "confused": _confused(_read(scores / "confused.csv")),
        "groups": _groups(found, _read(scores / "groups.csv")),
        "galleries": galleries(found, subsets, head=head, baseline=baseline, most=params.scores.gallery),
        "map": _map(found, subsets, first),
        "distances": _distances(found, first),
        "audit": _audit(found),
        "ledger": _ledger(params.data.name),
        "protocol": numbers["protocol"],
        "source": found.protocol.source,
        "licence": found.protocol.licence,
        "notes": list(found.protocol.notes),
    }


def _settings(found: Loaded) -> str:
    settings = found.trained.settings.model_dump(exclude_none=True, exclude_defaults=True)
    return "Set: " + ", ".join(f"{name} {value}" for name, value in settings.items()) + "."


def _headline(table: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    names = {"top2": "among the best 2 of a list", "recall_at_1": "first of the whole gallery", "auc": "AUC"}
    names |= {"balanced_accuracy": "alike or not, balanced", "fewshot_accuracy": "few-shot"}
    return [
        {
            "name": names[line["score"]],
            "head": _percent(line["head"]) + (f" ± {_percent(line['half_width'])}" if line["half_width"] else ""),
            "baseline": _percent(line["baseline"]),
            "chance": _percent(line["chance"]),
        }
        for line in table
        if line["subset"] == "test" and line["score"] in names
    ]


def _table(table: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    columns = ("head", "half_width", "half_width_seeds", "baseline", "projection", "chance")
    names = list(dict.fromkeys(line["subset"] for line in table))
    return [
        {
            "name": {"test": "all of the test split"}.get(name, f"{name} groups"),
            "lines": [
                {"score": line["score"].replace("_", " "), "cells": [_cell(line, column) for column in columns]}
                for line in table
                if line["subset"] == name
            ],
        }
        for name in names
    ]


def _charts(found: Loaded) -> list[dict[str, str]]:
    scores = found.folder / "scores"
    curve = _read(scores / "roc.csv")
    listed = [
        ("Hit rate at k", charts.hit_rate(_read(scores / "hit_rate.csv")), "Expected, in random lists of candidates."),
        (
            "Similarity",
            charts.similarity(_read(scores / "similarity.csv"), found.trained.thresholds[0]),
            "Of all pairs of a query and a gallery image.",
        ),
        ("ROC", charts.roc(curve), "Mean over seeds."),
        ("DET", charts.det(curve), "The same errors on normal-deviate axes: lower left is better."),
        ("Confusion", charts.confusion(_read(scores / "confusion.csv")), "Per cent of each row, the first seed."),
    ]
    history = _read(found.folder / "head" / "history.csv")
    if len({line["epoch"] for line in history}) > 1:
        listed.append(("Training", charts.training(history), "One line a seed; the epoch is chosen on val."))
    return [{"title": title, "svg": svg, "caption": caption} for title, svg, caption in listed]


def _confused(lines: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    return [line | {"count": f"{float(line['count']):.1f}", "share": _percent(line["share"])} for line in lines]


def _groups(found: Loaded, lines: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The groups that the head finds best and worst; none where groups are pairs, which the galleries show."""
    if found.rows.has_roles:
        return []
    order = sorted(lines, key=lambda line: float(line["map_at_r"]))
    worst = order[: min(GROUPS, len(order) // 2)]
    best = order[::-1][: min(GROUPS, len(order) - len(worst))]
    columns = ("recall_at_1", "recall_at_1_baseline", "map_at_r", "map_at_r_baseline")
    return [
        {"title": title, "lines": [line | {"cells": [_percent(line[name]) for name in columns]} for line in chosen]}
        for title, chosen in (("Best", best), ("Worst", worst))
    ]


def _audit(found: Loaded) -> dict[str, Any]:
    path = found.folder / "rows.parquet"
    audited = audit(found.rows, found.protocol, read_dhashes(path))
    pairs = near_pairs(audited)
    picture = data_url(draw_pairs(pairs, path), "png") if len(pairs) else ""
    return {"lines": audit_lines(audited, found.protocol, found.rows), "near": picture}


def _map(found: Loaded, subsets: dict[str, Subset], embeddings: np.ndarray) -> dict[str, str]:
    """Up to `MAPPED` test images; pairs are shown whole and joined, classes in their colours."""
    rows, rng = found.rows, np.random.default_rng(0)
    test = np.unique(np.concatenate([np.r_[subset.queries, subset.gallery] for subset in subsets.values()]))
    if rows.has_roles:
        groups = rng.permutation(np.unique(rows.labels[test]))[: MAPPED // 2]
        shown = test[np.isin(rows.labels[test], groups)]
        colours = (rows.role[shown] == "right").astype(np.int64)
        order = np.argsort(rows.labels[shown], kind="stable")
        links = order.reshape(-1, 2)
        words = "Left images are framed blue, right images orange; a line joins each pair: the shorter, the better."
    else:
        shown = np.sort(rng.permutation(test)[:MAPPED])
        colours = np.unique(rows.labels[shown], return_inverse=True)[1]
        links = np.empty((0, 2), np.int64)
        words = "Images of a group have frames of one colour (ten colours in turn)."
    two = embeddings.shape[1] == 2
    points = place(embeddings[shown], cosine=found.trained.settings.distance == "cosine" and not two)
    of = "the first seed's embeddings"
    if not found.trained.head.embeds:
        of = "what the first seed's network gives before its classifier of pairs, whose scores need not follow it"
    kind = f"{of[0].upper()}{of[1:]}" + (": the plane itself." if two else " by t-SNE: near counts, far does not.")
    picture = draw_plane(points, read_thumbs(found.folder / "rows.parquet", shown), colours=colours, links=links)
    return {"src": data_url(picture, "jpeg"), "caption": f"{len(shown):,} test images. {kind} {words}"}


def _distances(found: Loaded, embeddings: np.ndarray) -> list[dict[str, Any]]:
    """Fréchet distances of features and of embeddings, for sets that one would like to know alike or apart."""
    rows = found.rows
    test = rows.split == "test"
    sets = {"train and test": (rows.split == "train", test)}
    if rows.has_roles:
        sets["left and right"] = (test & (rows.role == "left"), test & (rows.role == "right"))
    if (test & rows.seen).any() and (test & ~rows.seen).any():
        sets["seen and unseen"] = (test & rows.seen, test & ~rows.seen)
    lines = []
    for name, masks in sets.items():
        size = min(SET_SIZE, *(int(mask.sum()) for mask in masks), int(masks[1].sum()) // 2 * 2)
        if size < 4:
            continue
        rng = np.random.default_rng(0)
        first, second = (np.sort(rng.permutation(np.flatnonzero(mask))[:size]) for mask in masks)
        cells = []
        for vectors in (found.inputs.cpu().numpy(), embeddings):
            unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            both = rng.permutation(np.union1d(first, second))[: 2 * size]
            cells += [frechet_distance(unit[first], unit[second]), frechet_floor(unit[both])]
        lines.append({"name": name, "size": f"{size:,}", "cells": [f"{1000 * cell:.1f}" for cell in cells]})
    return lines


def _ledger(dataset: str) -> list[dict[str, str]]:
    """The last run of each stage of this data set, if this machine ran any."""
    if not LEDGER.exists():
        return []
    last = {line["stage"]: line for line in _read(LEDGER) if line["dataset"] == dataset}
    return [line | {"rate": line["images_per_s"]} for line in last.values()]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _cell(line: dict[str, str], column: str) -> str:
    """In per cent, but for the one score that is a loss."""
    return line[column] if line["score"] == "pair_loss" else _percent(line[column])


def _percent(cell: str) -> str:
    return f"{100 * float(cell):.1f}" if cell else ""

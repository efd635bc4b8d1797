"""`python -m pipeline report`: one page (HTML, and Markdown) with all that is known of the run that lies here."""

import base64
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from jinja2 import Environment, FileSystemLoader

from data.files import write_bytes
from data.rows import Rows, read_thumbs
from heads.scores.card import Part
from heads.scores.frechet import frechet_distance, frechet_floor
from heads.scores.paired import exchange
from heads.scores.trivial import plain
from heads.similarity import Similarity
from pipeline.errors import ParamError
from pipeline.ledger import LEDGER
from pipeline.params import Params
from pipeline.report import charts
from pipeline.report.examples import Example, Picture, examples
from pipeline.report.loaded import Loaded, load_run
from pipeline.report.parts import test_parts
from pipeline.report.plane import draw_plane, place

OUT = Path("build/report")
MAPPED = 700  # images on the map
SET_SIZE = 1000  # images of each set in a Fréchet distance, at most
TEMPLATES = Path(__file__).parents[1] / "report" / "templates"


def run(params: Params, *, out: Path = OUT) -> None:
    """Write `index.html`, which needs nothing beside it, and `report.md`."""
    found = load_run(params)
    page = collect(found, params)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=lambda name: name.endswith(".html"))
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
    parts = test_parts(found.rows, found.protocol)
    head, bare = found.trained.similarities(found.inputs)[0], plain(found.inputs)
    embeddings = found.trained.embeddings(found.inputs)
    first = found.inputs if embeddings is None else embeddings[0]
    return {
        "title": found.title,
        "about": f"{sum(len(part.queries) for part in parts.values()):,} queries of the test split. {_settings(found)}",
        "headline": _headline(table),
        "table": _table(table),
        "charts": _charts(found),
        "galleries": _galleries(found, parts, head=head, bare=bare, most=params.scores.gallery),
        "map": _map(found, parts, first.float().cpu().numpy()),
        "distances": _distances(found, first.float().cpu().numpy()),
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
            "head": _percent(line["head"]) + (f" ± {_percent(line['half'])}" if line["half"] else ""),
            "plain": _percent(line["plain"]),
            "chance": _percent(line["chance"]),
        }
        for line in table
        if line["part"] == "test" and line["score"] in names
    ]


def _table(table: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    columns = ("head", "half", "half_seeds", "plain", "projection", "chance")
    names = list(dict.fromkeys(line["part"] for line in table))
    return [
        {
            "name": {"test": "all of the test split"}.get(name, f"{name} groups"),
            "lines": [
                {"score": line["score"].replace("_", " "), "cells": [_percent(line[column]) for column in columns]}
                for line in table
                if line["part"] == name
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


def _galleries(
    found: Loaded, parts: dict[str, Part], *, head: Similarity, bare: Similarity, most: int
) -> list[dict[str, Any]]:
    chosen: dict[str, list[Example]] = {kind: [] for kind in ("gained", "lost", "surest", "worst")}
    totals = {"gained": 0, "lost": 0}
    thumbs = found.folder / "rows.parquet"
    top2 = _hits(found)
    for part in parts.values():
        queries = part.queries[np.isin(found.rows.id[part.queries], list(top2["head"]))]
        ids = found.rows.id[queries]
        swap = exchange([top2["no head"][name] for name in ids], [top2["head"][name] for name in ids])
        order = np.argsort(-_leads(head, queries, part.gallery, found.rows.codes), kind="stable")
        places = {"gained": swap.gained, "lost": swap.lost, "surest": order, "worst": order[::-1]}
        for kind, found_places in places.items():
            if kind in totals:
                totals[kind] += len(found_places)
            picked = queries[found_places[: max(1, most // len(parts))]]
            chosen[kind] += examples(picked, part=part, sides=(head, bare), rows=found.rows, thumbs=thumbs)
    captions = {
        "gained": f"{totals['gained']:,} queries that the head hits at 2 and no head misses, largest change first.",
        "lost": f"{totals['lost']:,} queries that no head hits at 2 and the head misses.",
        "surest": "Queries whose match leads the best other image by most.",
        "worst": "Queries whose match is furthest behind.",
    }
    sides = " Query; best five by the head (first seed); best five with no head. The match is framed."
    return [
        {
            "title": kind.capitalize(),
            "caption": captions[kind] + sides,
            "examples": [_shown(example, found.rows) for example in chosen[kind]],
        }
        for kind in chosen
    ]


def _hits(found: Loaded) -> dict[str, dict[str, float]]:
    """model -> id -> hit rate at 2, mean over seeds; as evaluate wrote it."""
    table = pq.read_table(found.folder / "scores" / "queries.parquet", columns=["model", "id", "top2"]).to_pydict()
    sums: dict[str, dict[str, list[float]]] = {"head": {}, "no head": {}}
    for model, name, hit in zip(table["model"], table["id"], table["top2"], strict=True):
        sums[model].setdefault(name, []).append(hit)
    return {model: {name: float(np.mean(hits)) for name, hits in by_id.items()} for model, by_id in sums.items()}


@torch.no_grad()
def _leads(similarity: Similarity, queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(Q,) how far the best match is ahead of the best other gallery row."""
    leads = []
    columns = torch.from_numpy(gallery)
    for rows in np.array_split(queries, max(1, len(queries) * len(gallery) // 2**24)):
        scores = similarity.block(torch.from_numpy(rows), columns).float().cpu().numpy()
        same, own = codes[rows][:, None] == codes[gallery], rows[:, None] == gallery
        leads.append(np.where(same & ~own, scores, -np.inf).max(1) - np.where(same, -np.inf, scores).max(1))
    return np.concatenate(leads)


def _shown(example: Example, rows: Rows) -> dict[str, Any]:
    def picture(one: Picture) -> dict[str, Any]:
        return {"src": _data(one.thumb, "jpeg"), "id": rows.id[one.row], "match": one.match}

    return {
        "query": picture(example.query),
        "rank": example.rank,
        "plain_rank": example.plain_rank,
        "nearest": [picture(one) for one in example.nearest],
        "plain_nearest": [picture(one) for one in example.plain_nearest],
    }


def _map(found: Loaded, parts: dict[str, Part], embeddings: np.ndarray) -> dict[str, str]:
    """Up to `MAPPED` test images; pairs are shown whole and joined, classes in their colours."""
    rows, rng = found.rows, np.random.default_rng(0)
    test = np.unique(np.concatenate([np.r_[part.queries, part.gallery] for part in parts.values()]))
    if rows.has_roles:
        groups = rng.permutation(np.unique(rows.codes[test]))[: MAPPED // 2]
        shown = test[np.isin(rows.codes[test], groups)]
        colours = (rows.role[shown] == "right").astype(np.int64)
        order = np.argsort(rows.codes[shown], kind="stable")
        links = order.reshape(-1, 2)
        words = "Left images are framed blue, right images orange; a line joins each pair: the shorter, the better."
    else:
        shown = np.sort(rng.permutation(test)[:MAPPED])
        colours = np.unique(rows.codes[shown], return_inverse=True)[1]
        links = np.empty((0, 2), np.int64)
        words = "Images of a group have frames of one colour (ten colours in turn)."
    two = embeddings.shape[1] == 2
    points = place(embeddings[shown], cosine=found.trained.settings.distance == "cosine" and not two)
    kind = "The head's plane itself." if two else "t-SNE of the first seed's embeddings: near counts, far does not."
    picture = draw_plane(points, read_thumbs(found.folder / "rows.parquet", shown), colours=colours, links=links)
    return {"src": _data(picture, "jpeg"), "caption": f"{len(shown):,} test images. {kind} {words}"}


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


def _percent(cell: str) -> str:
    return f"{100 * float(cell):.1f}" if cell else ""


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

"""`evaluate`: head, features and frozen lists -> metrics.json, plots, per-query scores and a gallery."""

import json
from pathlib import Path

import numpy as np
import torch

from data.files.atomic import write_bytes
from data.tables.protocol import Protocol
from data.tables.rows import Rows
from heads.errors import HeadError
from heads.metrics.baselines import blind, plain, random_projection
from heads.metrics.evaluation import Part, score
from heads.metrics.pairs import score_pairs
from heads.metrics.score_table import Scores, full_table, metrics
from heads.similarity import Similarity
from heads.threshold import calibrate_threshold
from pipeline.params import Params
from pipeline.report import score_tables
from pipeline.report.console import console_table
from pipeline.report.contact_sheet import Section, draw_gallery
from pipeline.report.examples import examples, gained_and_lost
from pipeline.report.load_run import load_run
from pipeline.report.subsets import test_parts

METRICS = Path("metrics.json")
HIT = "A hit: in a list of candidates, the match is more likely than not among the best 2, mean over seeds."
CHANCE_QUERIES = 500  # chance hardly depends on which queries: no need to ask all


def run(params: Params) -> None:
    """Score the head on the test split, beside the baseline, a random projection and chance."""
    found = load_run(params)
    folder, rows, protocol, trained, inputs = found.folder, found.rows, found.protocol, found.trained, found.inputs
    parts = test_parts(rows, protocol, most=params.scores.queries, seed=params.seed)
    heads, bare = trained.similarities(inputs), plain(inputs)
    scores = score_all(heads, trained.thresholds, bare, inputs, rows=rows, protocol=protocol, parts=parts)
    together = np.unique(found.clusters.astype(str), return_inverse=True)[1]
    table = full_table(scores, clusters=together, draws=params.scores.draws, head=trained.settings)

    out, name, most = folder / "scores", found.title, params.scores.gallery
    contents = {
        "table.csv": score_tables.table_csv(table),
        "queries.parquet": score_tables.queries_parquet(
            scores, rows, clusters=found.clusters, protocol=protocol.sha256
        ),
        "hit_rate.csv": score_tables.hit_rate_csv(scores),
        "similarity.csv": score_tables.similarity_csv(scores),
        "roc.csv": score_tables.roc_csv(scores),
        "confusion.csv": score_tables.confusion_csv(scores, rows),
        "confused.csv": score_tables.confused_csv(scores, rows),
        "groups.csv": score_tables.groups_csv(scores, rows),
        "gallery.png": draw_gallery(
            gallery_sections(scores, rows, folder / "rows.parquet", parts=parts, sides=(heads[0], bare), most=most),
            title=name,
            footer=f"Neighbours in the whole gallery, by the first seed. {HIT} Pictures: {protocol.licence}",
        ),
    }
    plane = trained.embeddings(inputs)[0] if trained.head.embeds else inputs
    if plane.shape[1] == 2:
        from pipeline.report.scatter import draw_scatter  # matplotlib: only for those who have a plane

        shown = np.concatenate([part.gallery for part in parts.values()])
        contents["plane.png"] = draw_scatter(plane.cpu().numpy()[shown], rows.group[shown], title=f"{name}: test split")
    for file, content in contents.items():
        write_bytes(out / file, content)
    answered = sum(len(card.queries) for card in scores.plain.values())
    numbers = metrics(scores, table, protocol=protocol.sha256[:16])
    if params.scores.queries is not None:
        numbers["queries"] = answered
    write_bytes(METRICS, (json.dumps(numbers, indent=2) + "\n").encode())
    print(f"{name}; {answered:,} queries{capped(params)}, in per cent:")
    print(console_table(table))
    print(f"  wrote metrics.json and {out}")


def capped(params: Params) -> str:
    return "" if params.scores.queries is None else f" (scores.queries: at most {params.scores.queries:,})"


def score_all(
    heads: list[Similarity],
    thresholds: list[float],
    bare: Similarity,
    inputs: torch.Tensor,
    *,
    rows: Rows,
    protocol: Protocol,
    parts: dict[str, Part],
) -> Scores:
    """Every seed's head and its three trivial neighbours on every part of the test split."""
    size = protocol.candidates.candidates.shape[1]
    projection = random_projection(inputs, width=min(inputs.shape[1], 64))

    def cards(similarity: Similarity, threshold: float, *, of: dict[str, Part] = parts) -> dict:
        return {
            name: score(similarity, rows.labels, part=part, candidates=size, threshold=threshold)
            for name, part in of.items()
        }

    return Scores(
        head=[cards(head, threshold) for head, threshold in zip(heads, thresholds, strict=True)],
        plain=cards(bare, val_threshold(bare, protocol)),
        projection=cards(projection, val_threshold(projection, protocol)),
        chance=cards(blind(), 1.0, of={name: fewer(part) for name, part in parts.items()}),
    )


def val_threshold(similarity: Similarity, protocol: Protocol) -> float:
    """The threshold of a similarity that was not trained, chosen on the same val pairs as a head's."""
    if "val" not in protocol.pairs:
        raise HeadError("the protocol has no val pairs to choose a threshold on: enlarge data.splits.val")
    pairs = protocol.pairs["val"]
    scores = score_pairs(similarity, pairs.a, right=pairs.b, alike=pairs.same)
    same = np.repeat([True, False], [len(scores.matches), len(scores.others)])
    return calibrate_threshold(np.concatenate([scores.matches, scores.others]), same)


def fewer(part: Part) -> Part:
    step = max(1, len(part.queries) // CHANCE_QUERIES)
    return Part(part.queries[::step], part.gallery, part.lists, part.pairs, part.triplets, part.episodes)


def gallery_sections(
    scores: Scores,
    rows: Rows,
    thumbs: Path,
    *,
    parts: dict[str, Part],
    sides: tuple[Similarity, Similarity],
    most: int,
) -> list[Section]:
    """Queries gained and lost against the baseline, largest change first; at most `most` of each."""
    exchanges = gained_and_lost(scores, k=2)
    sections = []
    for kind in ("gained", "lost"):
        places = {name: getattr(exchanges[name], kind) for name in parts}
        chosen = [
            example
            for name, part in parts.items()
            for example in examples(
                scores.plain[name].queries[places[name][: max(1, most // len(parts))]],
                part=part,
                sides=sides,
                rows=rows,
                thumbs=thumbs,
            )
        ]
        total = sum(len(found) for found in places.values())
        asked = sum(len(card.queries) for card in scores.plain.values())
        sections.append(Section(f"{kind.capitalize()}: {total:,} of {asked:,} queries", chosen, none="none"))
    return sections

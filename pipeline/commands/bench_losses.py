"""`python -m pipeline bench losses`: every loss at its default settings, with the head of params.yaml, by val score.

Only `head.loss` changes; `loss_args` and `margin` are the loss's own defaults. A loss of pairs, which a head that
embeds cannot use, trains PAIR_MODEL. The test split is not looked at, so that a loss may be chosen by the table.
"""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from data.files.atomic import write_bytes
from heads.errors import HeadError
from heads.losses.library import PROXY_LR_SCALE
from heads.settings import LIBRARY_LOSSES, LOSSES, HeadSettings, parse_head_settings
from heads.training.collapse import no_gain_warning
from pipeline.machine import machine, write_rows
from pipeline.markdown import markdown_table
from pipeline.params import Params
from pipeline.stage_inputs import check_inputs
from pipeline.stages.train import Training, train

OUT, PAGE = Path("benchmarks/losses.csv"), Path("docs/losses.md")
LIBRARY = "pytorch-metric-learning"
OF_PAIRS, PAIR_MODEL = ("bce",), "distance_logit"  # pair_mlp, without hidden layers, stays at chance


def run(params: Params) -> None:
    """Train a head with each loss, write the csv and the page, and print a line for each loss."""
    check_inputs(params, "train")
    identity = params.head.model_copy(update={"model": "identity", "dim": None, "loss": "contrastive", "seeds": 1})
    baseline = _best_scores(train(params.model_copy(update={"head": identity})))[0]
    table = []
    for loss in LOSSES:
        row = _row(params, loss, baseline)
        table.append(row)
        write_rows(OUT, table)  # after every loss: some of the library's take minutes, and a run may be stopped
        write_bytes(PAGE, losses_page(table, params).encode())
        print(f"{loss}: {_percent(row['val']) or 'not run'} {row['warnings']}".rstrip(), flush=True)
    print(f"-> {OUT}, {PAGE}")


def settings_of(head: HeadSettings, loss: str) -> HeadSettings:
    """`head` with another loss at its defaults.

    Raises:
        HeadError: a setting of `head` that does not go with this loss.
    """
    changes = {"loss": loss, "loss_args": {}, "margin": None}
    if loss in OF_PAIRS:
        changes["model"] = PAIR_MODEL
    return parse_head_settings(head.model_dump() | changes)


def losses_page(rows: Sequence[Mapping[str, object]], params: Params) -> str:
    """docs/losses.md, the best loss first and what could not run last; `rows` as in the csv."""
    head, first = params.head, rows[0]
    ran = sorted((row for row in rows if row["val"] != ""), key=lambda row: -float(str(row["val"])))
    ordered = [*ran, *(row for row in rows if row["val"] == "")]
    blocks = [
        "# Every loss at its default settings",
        "Written by `python -m pipeline bench losses`; do not edit.",
        f"Data set `{params.data.name}`, features `{head.features}`, and the head of [params.yaml](../params.yaml): "
        f"only `head.loss` differs from row to row, and the model for {', '.join(OF_PAIRS)}, which needs a classifier "
        f"of pairs. Scores are {head.select} on the **val** split, in per cent: the mean of {head.seeds} seeds ± their "
        f"standard deviation, each after its best epoch of {head.epochs}. *Baseline* is the cosine of the same "
        "features without a head; a best epoch of 0 is the untrained head. Val also chose the epoch and has few "
        "queries, so losses within a point or two are not told apart. All share one learning rate, which suits some "
        "better than others; what a loss of the library learns itself (proxies, class weights) has "
        f"{PROXY_LR_SCALE:g} times that rate. The test split was not used.",
        markdown_table(
            ("loss", "from", "model", f"val {head.select}", "baseline", "best epoch per seed", "warnings"),
            map(_cells, ordered),
        ),
        f"Ran on {first['machine']}, torch {first['torch']}, {LIBRARY} {first['library']}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _cells(row: Mapping[str, object]) -> Sequence[object]:
    score = f"{_percent(row['val'])} ± {_percent(row['std'])}" if row["val"] != "" else "not run"
    return row["loss"], row["from"], row["model"], score, _percent(row["baseline"]), row["epochs"], row["warnings"]


def _percent(share: object) -> str:
    return "" if share == "" else f"{100 * float(str(share)):.1f}"


def _row(params: Params, loss: str, baseline: float) -> dict[str, object]:
    row: dict[str, object] = {
        "loss": loss,
        "from": LIBRARY if loss in LIBRARY_LOSSES else "ours",
        "dataset": params.data.name,
        "features": params.head.features,
        "model": PAIR_MODEL if loss in OF_PAIRS else params.head.model,
        "select": params.head.select,
    }
    begin = time.perf_counter()
    try:
        training = train(params.model_copy(update={"head": settings_of(params.head, loss)}))
    except HeadError as error:
        scores, epochs, warnings = [], [], [str(error)]
    else:
        scores, epochs = _best_scores(training), training.head.best_epochs
        warnings = [warning for one in training.trained for warning in one.warnings]
        warnings += no_gain_warning(epochs, select=params.head.select, where="head")
    return row | {
        "val": round(float(np.mean(scores)), 4) if scores else "",
        "std": round(float(np.std(scores)), 4) if scores else "",
        "baseline": round(baseline, 4),
        "epochs": ", ".join(map(str, epochs)),
        "warnings": "; ".join(warnings),
        "seconds": round(time.perf_counter() - begin, 1),
        "machine": machine(),
        "torch": torch.__version__,
        "library": version(LIBRARY),
    }


def _best_scores(training: Training) -> list[float]:
    """The val score of each seed, after its best epoch."""
    name = f"val_{training.head.settings.select}"
    return [one.history[one.best][name] for one in training.trained]

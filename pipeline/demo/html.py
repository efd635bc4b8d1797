"""The page's own pieces of HTML. Every name that comes from a file is escaped."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.demo.available_heads import Held
from pipeline.inference.predictor import Answer, ImageHead


@dataclass(frozen=True)
class Card:
    """A picture of the data set to look at and to click on."""

    row: int
    picture: bytes  # JPEG or PNG
    name: str
    group: str
    similarity: float | None = None
    probability: float | None = None
    same: bool | None = None  # of the query's group, where that is known


def sentence(text: str) -> str:
    """What a person should know or do, in place of a result."""
    return f'<p class="la-note" role="status">{escape(text)}</p>'


def cards(shown: Sequence[Card]) -> str:
    """A grid of buttons; `data-row` says which picture was clicked."""
    return f'<div class="la-cards">{"".join(map(_card, shown))}</div>'


def _card(card: Card) -> str:
    lines = f'<span class="la-name" title="{escape(card.name)}">{escape(card.group)}</span>'
    if card.similarity is not None:
        lines = (
            f'<span class="la-score">{card.similarity:.3f}</span>'
            f'<span class="la-bar"><i style="width:{100 * card.probability:.1f}%"></i></span>{lines}'
        )
    kind = " la-same" if card.same else ""
    return (
        f'<button class="la-card{kind}" data-row="{card.row}" title="search with this one">'
        f'<img src="{data_url(card.picture)}" alt="{escape(card.name)}">{lines}</button>'
    )


def data_url(picture: bytes) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def meter(head: ImageHead, answer: Answer) -> str:
    """Similarity of one pair on a scale, with the threshold on it; probability and decision in words."""
    value, probability, alike = float(answer.similarity), float(answer.probability), bool(answer.alike)
    low, high, ends = scale(head)
    at, cut = (100 * float(np.clip((x - low) / (high - low), 0, 1)) for x in (value, answer.threshold))
    word = "alike" if alike else "different"
    return f"""
<div class="la-meter la-{word}" data-alike="{str(alike).lower()}" data-similarity="{value:.4f}">
  <div class="la-verdict"><strong>{word.capitalize()}</strong>
    <span>similarity {value:.3f} · probability of “alike” {percent(probability)}</span></div>
  <div class="la-scale" role="img" aria-label="similarity {value:.3f}, alike from {answer.threshold:.3f} on">
    <div class="la-track" style="--cut:{cut:.2f}%"></div>
    <div class="la-cut" style="left:{cut:.2f}%"><span>alike from {answer.threshold:.2f}</span></div>
    <div class="la-at" style="left:{at:.2f}%"></div>
  </div>
  <div class="la-ends"><span>{ends[0]}</span><span>{ends[1]}</span></div>
</div>"""


def percent(share: float) -> str:
    """Never a certainty that no finite number of pairs can show."""
    if share < 0.005:
        return "below 1 %"
    return "above 99 %" if share > 0.995 else f"{100 * share:.0f} %"


def scale(head: ImageHead) -> tuple[float, float, tuple[str, str]]:
    """The ends of the scale: of a cosine its own; else where the probability is one and 99 in a hundred."""
    trained = head.trained
    if trained.head.embeds and trained.head.distance == "cosine":
        return -1.0, 1.0, ("−1 opposite", "1 the same")
    slope, threshold = trained.calibration.slope, trained.calibration.threshold
    half = np.log(99) / slope if slope > 0 else max(1.0, abs(threshold))
    return threshold - half, threshold + half, ("less alike", "more alike")


def small_png(picture: Image.Image, side: int = 112) -> str:
    """A data URL, pixels shown as squares: what the network is given."""
    file = BytesIO()
    picture.resize((side, side), Image.Resampling.NEAREST if picture.width < side else Image.Resampling.BOX).save(
        file, "PNG"
    )
    return data_url(file.getvalue())


def about(held: Held) -> str:
    """One line on the head in use, and whose pictures are shown."""
    settings = held.head.trained.settings
    seeds = f", mean of {settings.seeds} seeds" if settings.seeds > 1 else ""
    what = f"{settings.model} head, {settings.loss} loss{seeds}"
    if settings.model == "identity":
        what = "no head: plain features"
    return (
        f'<p class="la-about">{escape(what)}, on <code>{escape(settings.features)}</code>. Pictures: '
        f"{escape(held.protocol.source)}; {escape(held.protocol.licence)}</p>"
    )

"""Search: a picture of your own, or one of the data set, and what looks like it."""

from io import BytesIO

import gradio as gr
import numpy as np
from PIL import Image

from data.errors import DataError
from heads.knn import knn
from pipeline.demo.available_heads import Held, Shelf
from pipeline.demo.html import Card, cards, sentence
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import Upload, one_sentence, picture_input, read_upload

OFFERED, FOUND = 12, 12
LEGEND = '<p class="la-about">Similarity; the bar is the probability of “alike”; green: the same group.</p>'
CLICKED = """
element.addEventListener('click', event => {
  const card = event.target.closest('[data-row]');
  if (card) trigger('select', {row: Number(card.dataset.row)});
});"""


def search_tab(shelf: Shelf, head: gr.Dropdown) -> Tab:
    """Build the tab, inside `gr.Tab`."""
    query = gr.State(None)  # a row of the data set; none: the uploaded picture
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            picture = picture_input("Your picture", elem_id="search-picture")
            with gr.Row():
                wanted = gr.Textbox(
                    placeholder="or part of a name in the data set",
                    show_label=False,
                    container=False,
                    scale=4,
                    max_length=100,
                    elem_id="search-name",
                )
                others = gr.Button("Others", scale=1, min_width=80, elem_id="search-others")
            offered = gr.HTML(elem_id="search-offered", js_on_load=CLICKED)
        with gr.Column(scale=3, min_width=360):
            found = gr.HTML(elem_id="search-found", js_on_load=CLICKED)

    def offer(name: str, wanted: str) -> str:
        return one_sentence(offered_html)(shelf, name, wanted)

    def find(name: str, upload: Upload | None, row: int | None) -> str:
        return one_sentence(found_html)(shelf, name, upload, row)

    def picked(name: str, event: gr.EventData) -> tuple:
        row = event._data.get("row") if isinstance(event._data, dict) else None
        shown: list[Image.Image] = []

        @one_sentence
        def look() -> str:
            held = shelf.get(name)
            if not isinstance(row, int) or not 0 <= row < len(held.rows):
                raise DataError("This picture is not there any more. Choose another one.")
            shown.append(Image.open(BytesIO(held.gallery.pictures([row])[0])))
            return found_html(shelf, name, None, row)

        said = look()
        return (shown[0], row, said) if shown else (gr.skip(), gr.skip(), said)

    def refill(name: str):
        return None, None, offer(name, ""), find(name, None, None)

    gr.on([others.click, wanted.submit], offer, [head, wanted], offered, show_progress="hidden", api_name="offer")
    picture.input(
        lambda name, upload: (None, find(name, upload, None)),
        [head, picture],
        [query, found],
        api_name="search",
        preprocess=False,
    )
    picture.clear(lambda name: (None, find(name, None, None)), head, [query, found], api_name=False)
    for grid in (offered, found):
        grid.select(picked, head, [picture, query, found], api_name=False, show_progress="hidden")
    return Tab(reads=[], shows=[picture, query, offered, found], refill=refill)


def offered_html(shelf: Shelf, name: str, wanted: str) -> str:
    """Some pictures of the data set: any, or those with `wanted` in their name or group."""
    with shelf.lock:
        held = shelf.get(name)
        gallery = held.gallery
        words = wanted.casefold().split()
        named = [f"{one} {group}".casefold() for one, group in zip(gallery.names, held.rows.group, strict=True)]
        rows = np.array([row for row, text in enumerate(named) if all(word in text for word in words)])
        if not len(rows):
            return sentence(f"No picture of {name} has “{wanted}” in its name.")
        rows = np.random.default_rng().permutation(rows)[:OFFERED]
        return cards([_card(held, row, picture) for row, picture in _with_pictures(held, rows)])


def found_html(shelf: Shelf, name: str, upload: Upload | None, row: int | None) -> str:
    """The nearest pictures of the data set to an uploaded one, or to one of its own."""
    if upload is None and row is None:
        return sentence("Give a picture, or click on one of the data set, and see what looks like it.")
    picture = None if upload is None else read_upload(upload, "The picture")
    with shelf.lock:
        held = shelf.get(name)
        head, gallery = held.head, held.gallery
        codes = gallery.codes[row : row + 1] if picture is None else head.codes_of(head.features_of([picture]))
        k = min(FOUND + (picture is None), len(gallery))
        scores, rows = (array[0].cpu().numpy() for array in knn(head.trained, codes, gallery=gallery.codes, k=k))
        own = rows == row if picture is None else np.zeros(k, bool)
        answer, rows = head.answer(scores[~own][:FOUND]), rows[~own][:FOUND]
        shown = [
            _card(held, at, thumb, similarity, probability, row)
            for (at, thumb), similarity, probability in zip(
                _with_pictures(held, rows), answer.similarity.tolist(), answer.probability.tolist(), strict=True
            )
        ]
    return cards(shown) + LEGEND


def _with_pictures(held: Held, rows: np.ndarray) -> list[tuple[int, bytes]]:
    rows = [int(row) for row in rows]
    return list(zip(rows, held.gallery.pictures(rows), strict=True))


def _card(
    held: Held,
    row: int,
    picture: bytes,
    similarity: float | None = None,
    probability: float | None = None,
    query: int | None = None,
) -> Card:
    groups = held.rows.group
    same = None if query is None else bool(groups[row] == groups[query])
    return Card(row, picture, held.gallery.names[row], str(groups[row]), similarity, probability, same)

"""Search: a picture of your own, or one of the data set, and what looks like it."""

from io import BytesIO

import gradio as gr
import numpy as np
from PIL import Image

from data.errors import DataError
from data.images.decode import decode
from heads.knn import knn
from pipeline.demo.available_heads import AvailableHeads, LoadedHead
from pipeline.demo.html import GalleryItem, heat_maps_html, message, picture_grid
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import Upload, errors_as_message, picture_input, read_upload

OFFERED, FOUND = 12, 12
CLICKED = """
element.addEventListener('click', event => {
  const item = event.target.closest('[data-row]');
  if (item) trigger('select', {row: Number(item.dataset.row)});
});"""
# On a phone the result lies below the first screen.
SHOW_RESULT = """() => {
  const found = document.querySelector('#search-found');
  if (found.getBoundingClientRect().top > innerHeight / 2) found.scrollIntoView({behavior: 'smooth'});
}"""


def search_tab(heads: AvailableHeads, head: gr.Dropdown) -> Tab:
    """Build the tab, inside `gr.Tab`."""
    query = gr.State(None)  # a row of the data set; none: the uploaded picture
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            picture = picture_input("Your picture", elem_id="search-picture")
            with gr.Row(elem_id="search-by-name"):
                wanted = gr.Textbox(
                    placeholder="or part of a name in the data set",
                    show_label=False,
                    container=False,
                    scale=4,
                    min_width=160,
                    max_length=100,
                    elem_id="search-name",
                )
                others = gr.Button("Others", scale=1, min_width=80, elem_id="search-others")
            offered = gr.HTML(elem_id="search-offered", js_on_load=CLICKED)
        with gr.Column(scale=3, min_width=300):
            found = gr.HTML(elem_id="search-found", js_on_load=CLICKED)

    def offer(name: str, wanted: str) -> str:
        return errors_as_message(offered_html)(heads, name, wanted)

    def find(name: str, upload: Upload | None, row: int | None) -> str:
        return errors_as_message(found_html)(heads, name, upload, row)

    def select(name: str, event: gr.EventData) -> tuple:
        row = event._data.get("row") if isinstance(event._data, dict) else None
        chosen: list[Image.Image] = []

        @errors_as_message
        def look_up() -> str:
            loaded = heads.get(name)
            if not isinstance(row, int) or not 0 <= row < len(loaded.rows):
                raise DataError("This picture is not there any more. Choose another one.")
            chosen.append(Image.open(BytesIO(loaded.gallery.pictures([row])[0])))
            return found_html(heads, name, None, row)

        html = look_up()
        return (chosen[0], row, html) if chosen else (gr.skip(), gr.skip(), html)

    def refresh(name: str) -> tuple:
        return None, None, offer(name, ""), find(name, None, None)

    gr.on([others.click, wanted.submit], offer, [head, wanted], offered, show_progress="hidden", api_name="offer")
    picture.input(
        lambda name, upload: (None, find(name, upload, None)),
        [head, picture],
        [query, found],
        api_name="search",
        preprocess=False,
    ).then(None, js=SHOW_RESULT, api_visibility="private")
    picture.clear(lambda name: (None, find(name, None, None)), head, [query, found], api_visibility="private")
    for grid in (offered, found):
        grid.select(select, head, [picture, query, found], api_visibility="private", show_progress="hidden").then(
            None, js=SHOW_RESULT, api_visibility="private"
        )
    return Tab(inputs=[], outputs=[picture, query, offered, found], refresh=refresh)


def offered_html(heads: AvailableHeads, name: str, wanted: str) -> str:
    """Some pictures of the data set: any, or those with `wanted` in their id, group or name for people."""
    with heads.lock:
        loaded = heads.get(name)
        words = wanted.casefold().split()
        rows = np.array([row for row, text in enumerate(loaded.search_texts) if all(word in text for word in words)])
        if not len(rows):
            return message(f"No picture of {name} has “{wanted}” in its name.")
        rows = np.random.default_rng().permutation(rows)[:OFFERED]
        return picture_grid([_item(loaded, row, picture) for row, picture in _with_pictures(loaded, rows)])


def found_html(heads: AvailableHeads, name: str, upload: Upload | None, row: int | None) -> str:
    """The nearest pictures of the data set to an uploaded one, or to one of its own."""
    if upload is None and row is None:
        return message("Give a picture, or tap one of the data set, to see what looks like it.")
    picture = None if upload is None else read_upload(upload, "The picture")
    with heads.lock:
        loaded = heads.get(name)
        head, gallery = loaded.head, loaded.gallery
        embeddings = gallery.embeddings[[row]] if picture is None else head.embeddings_of(head.features_of([picture]))
        k = min(FOUND + (picture is None), len(gallery))
        scores, rows = (
            array[0].cpu().numpy() for array in knn(head.trained, embeddings, gallery=gallery.embeddings, k=k)
        )
        own = rows == row if picture is None else np.zeros(k, bool)
        comparison, rows = head.comparison_of(scores[~own][:FOUND]), rows[~own][:FOUND]
        items = [
            _item(loaded, at, thumb, similarity, probability, row)
            for (at, thumb), similarity, probability in zip(
                _with_pictures(loaded, rows),
                comparison.similarity.tolist(),
                comparison.probability.tolist(),
                strict=True,
            )
        ]
        pair = [decode(content) for content in loaded.images(rows[:1] if picture else np.array([row, *rows[:1]]))]
        pair = [picture, *pair] if picture else pair
        heat = heat_maps_html(loaded, *pair, what="Where it and the nearest agree") if len(pair) == 2 else ""
        return picture_grid(items, threshold=comparison.threshold) + heat


def _with_pictures(loaded: LoadedHead, rows: np.ndarray) -> list[tuple[int, bytes]]:
    places = [int(row) for row in rows]
    return list(zip(places, loaded.gallery.pictures(places), strict=True))


def _item(
    loaded: LoadedHead,
    row: int,
    picture: bytes,
    similarity: float | None = None,
    probability: float | None = None,
    query: int | None = None,
) -> GalleryItem:
    groups, name = loaded.rows.group, loaded.gallery.names[row]
    same = None if query is None else bool(groups[row] == groups[query])
    return GalleryItem(row, picture, name, loaded.title(str(groups[row])), similarity, probability, same)

"""Compare: two pictures, how alike they are, where they agree, and what that means."""

import gradio as gr
import numpy as np
from PIL import Image

from data.images.decode import decode
from heads.errors import HeadError
from pipeline.demo.available_heads import AvailableHeads
from pipeline.demo.html import heat_maps_html, message, similarity_meter
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import Upload, errors_as_message, picture_input, read_upload

SUBSETS = ("test", "test_unseen", "test_seen")  # of the protocol; the first there is


def compare_tab(heads: AvailableHeads, head: gr.Dropdown) -> Tab:
    """Build the tab, inside `gr.Tab`."""
    with gr.Row():
        left, right = (
            picture_input("One picture", elem_id="compare-left"),
            picture_input("Another one", elem_id="compare-right"),
        )
    verdict = gr.HTML(elem_id="compare-verdict")
    with gr.Row():
        buttons = [gr.Button("Try a pair that is alike"), gr.Button("Try a pair that is not")]

    def compare(name: str, a: Upload | None, b: Upload | None) -> str:
        return errors_as_message(compare_html)(heads, name, a, b)

    gr.on(
        [left.input, right.input, left.clear, right.clear],
        compare,
        [head, left, right],
        verdict,
        api_name="compare",
        preprocess=False,
        trigger_mode="always_last",
    )
    for button, positive in zip(buttons, (True, False), strict=True):
        button.click(
            lambda name, positive=positive: example_pair(heads, name, positive),
            head,
            [left, right, verdict],
            api_visibility="private",
            show_progress="hidden",
        )
    return Tab(inputs=[left, right], outputs=[verdict], refresh=compare)


def compare_html(heads: AvailableHeads, name: str, a: Upload | None, b: Upload | None) -> str:
    if a is None or b is None:
        return message("Give two pictures." if a is None and b is None else "Give one more picture.")
    pictures = [read_upload(upload, what) for upload, what in ((a, "The left picture"), (b, "The right picture"))]
    return compare_pictures(heads, name, pictures, heat=True)


def example_pair(heads: AvailableHeads, name: str, positive: bool) -> tuple:
    """A pair of the test split."""
    chosen: list[Image.Image] = []

    @errors_as_message
    def compared() -> str:
        loaded = heads.get(name)
        subsets = [loaded.protocol.pairs[subset] for subset in SUBSETS if subset in loaded.protocol.pairs]
        if not subsets:
            raise HeadError(f"The test split of {name} has no pairs to try.")
        pairs = subsets[0]
        number = np.random.default_rng().choice(np.flatnonzero(pairs.same == positive))
        rows = np.array([pairs.a[number], pairs.b[number]])
        chosen.extend(decode(content) for content in loaded.images(rows))
        return compare_pictures(heads, name, chosen, heat=True)

    html = compared()
    return (*chosen, html) if len(chosen) == 2 else (gr.skip(), gr.skip(), html)


def compare_pictures(heads: AvailableHeads, name: str, pictures: list[Image.Image], *, heat: bool = False) -> str:
    """Two RGB pictures, as a meter; with `heat`, also where they agree."""
    with heads.lock:
        loaded = heads.get(name)
        head = loaded.head
        embeddings = head.embeddings_of(head.features_of(pictures))
        meter = similarity_meter(head, head.comparison_of(head.similarity_of(embeddings[:1], embeddings[1:])[0, 0]))
        return meter + (heat_maps_html(loaded, *pictures) if heat else "")

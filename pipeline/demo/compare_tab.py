"""Compare: two pictures, how alike they are, and what that means."""

import gradio as gr
import numpy as np
from PIL import Image

from data.images.decode import decode
from heads.errors import HeadError
from pipeline.demo.available_heads import Shelf
from pipeline.demo.html import meter, sentence
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import Upload, one_sentence, picture_input, read_upload

PARTS = ("test", "test_unseen", "test_seen")  # of the protocol; the first there is


def compare_tab(shelf: Shelf, head: gr.Dropdown) -> Tab:
    """Build the tab, inside `gr.Tab`."""
    with gr.Row():
        left, right = (
            picture_input("One picture", elem_id="compare-left"),
            picture_input("Another one", elem_id="compare-right"),
        )
    verdict = gr.HTML(elem_id="compare-verdict")
    with gr.Row():
        buttons = [gr.Button("Try a pair that is alike"), gr.Button("Try a pair that is not")]

    def judge(name: str, a: Upload | None, b: Upload | None) -> str:
        return one_sentence(judged_html)(shelf, name, a, b)

    gr.on(
        [left.input, right.input, left.clear, right.clear],
        judge,
        [head, left, right],
        verdict,
        api_name="compare",
        preprocess=False,
        trigger_mode="always_last",
    )
    for button, same in zip(buttons, (True, False), strict=True):
        button.click(
            lambda name, same=same: drawn_pair(shelf, name, same),
            head,
            [left, right, verdict],
            api_name=False,
            show_progress="hidden",
        )
    return Tab(reads=[left, right], shows=[verdict], refill=judge)


def judged_html(shelf: Shelf, name: str, a: Upload | None, b: Upload | None) -> str:
    if a is None or b is None:
        return sentence("Give two pictures." if a is None and b is None else "Give one more picture.")
    pictures = [read_upload(upload, what) for upload, what in ((a, "The left picture"), (b, "The right picture"))]
    return judged_pictures(shelf, name, pictures)


def drawn_pair(shelf: Shelf, name: str, same: bool) -> tuple:
    """A pair of the test split, as an example."""
    chosen: list[Image.Image] = []

    @one_sentence
    def judged() -> str:
        held = shelf.get(name)
        parts = [held.protocol.pairs[part] for part in PARTS if part in held.protocol.pairs]
        if not parts:
            raise HeadError(f"The test split of {name} has no pairs to try.")
        number = np.random.default_rng().choice(np.flatnonzero(parts[0].same == same))
        rows = np.array([parts[0].a[number], parts[0].b[number]])
        chosen.extend(decode(content) for content in held.images(rows))
        return judged_pictures(shelf, name, chosen)

    said = judged()
    if len(chosen) < 2:
        return gr.skip(), gr.skip(), said
    return *chosen, said


def judged_pictures(shelf: Shelf, name: str, pictures: list[Image.Image]) -> str:
    """Two RGB pictures, as a meter."""
    with shelf.lock:
        head = shelf.get(name).head
        codes = head.codes_of(head.features_of(pictures))
        return meter(head, head.answer(head.between(codes[:1], codes[1:])[0, 0]))

"""Draw: two canvases, alike or not, while one draws. Drawings become pictures as the data set of the head has them."""

from html import escape
from pathlib import Path

import gradio as gr

from data.images.strokes import PAPERS, PLAIN, draw_strokes, parse_strokes
from pipeline.demo.available_heads import AvailableHeads
from pipeline.demo.compare_tab import compare_pictures
from pipeline.demo.html import message, small_png
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import errors_as_message

HERE = Path(__file__).parent
KINDS = {"mnist": "digits", "omniglot": "letters of many alphabets"}


def draw_tab(heads: AvailableHeads, head: gr.Dropdown) -> Tab:
    """Build the tab, inside `gr.Tab`."""
    advice = gr.HTML(elem_id="draw-advice")
    drawing = gr.State([[], []])
    pads = gr.HTML(
        html_template=(HERE / "pads.html").read_text(),
        js_on_load=(HERE / "pads.js").read_text(),
        elem_id="draw-pads",
    )
    verdict = gr.HTML(elem_id="draw-verdict")

    def drawn(name: str, event: gr.EventData):
        strokes = event._data if isinstance(event._data, dict) else {}
        both = [strokes.get("left"), strokes.get("right")]
        return both, compare(name, both)

    def compare(name: str, both: list) -> str:
        return errors_as_message(compare_drawings_html)(heads, name, both)

    def refresh(name: str, both: list):
        return advice_html(heads, name), compare(name, both)

    pads.input(
        drawn, head, [drawing, verdict], api_visibility="private", show_progress="hidden", trigger_mode="always_last"
    )
    return Tab(inputs=[drawing], outputs=[advice, verdict], refresh=refresh)


def compare_drawings_html(heads: AvailableHeads, name: str, both: list) -> str:
    """The similarity of two drawings, and the pictures that the network was given."""
    left, right = (parse_strokes(strokes) for strokes in both)
    if not left or not right:
        return message("Draw something on both." if not left and not right else "Now draw on the other one.")
    paper = PAPERS.get(name, PLAIN)
    pictures = [draw_strokes(strokes, paper) for strokes in (left, right)]
    given = "".join(f'<img src="{small_png(picture)}" alt="">' for picture in pictures)
    meter = compare_pictures(heads, name, pictures)
    return f'{meter}<div class="la-given"><span>what the network is given</span>{given}</div>'


def advice_html(heads: AvailableHeads, name: str) -> str:
    """Whether the head in use was trained on drawings."""
    if name in PAPERS:
        return f'<p class="la-about">Trained on {KINDS[name]}: draw two, in any size.</p>'
    others = [other for other in heads.names() if other in PAPERS]
    train = " or ".join(f"<code>dvc exp run -S data.name={one}</code> ({kind})" for one, kind in KINDS.items())
    if others:
        do = f"Choose the head {' or '.join(f'<b>{escape(other)}</b>' for other in others)} above."
    else:
        do = f"To train one that was: {train}; then reload this page."
    return (
        f'<p class="la-note">The head <b>{escape(name)}</b> was not trained on drawings: '
        f"yours are given to it as pictures, black on white. {do}</p>"
    )

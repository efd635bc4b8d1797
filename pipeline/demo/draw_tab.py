"""Draw: two canvases, alike or not, while one draws. Drawings become pictures as the data set of the head has them."""

from html import escape
from pathlib import Path

import gradio as gr

from data.images.strokes import PAPERS, PLAIN, draw_strokes, parse_strokes
from pipeline.demo.available_heads import Shelf
from pipeline.demo.compare_tab import judged_pictures
from pipeline.demo.html import sentence, small_png
from pipeline.demo.tab import Tab
from pipeline.demo.uploads import one_sentence

HERE = Path(__file__).parent
KINDS = {"mnist": "digits", "omniglot": "letters of many alphabets"}


def draw_tab(shelf: Shelf, head: gr.Dropdown) -> Tab:
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
        sent = event._data if isinstance(event._data, dict) else {}
        both = [sent.get("left"), sent.get("right")]
        return both, judge(name, both)

    def judge(name: str, both: list) -> str:
        return one_sentence(judged_html)(shelf, name, both)

    def refill(name: str, both: list):
        return advice_html(shelf, name), judge(name, both)

    pads.input(drawn, head, [drawing, verdict], api_name=False, show_progress="hidden", trigger_mode="always_last")
    return Tab(reads=[drawing], shows=[advice, verdict], refill=refill)


def judged_html(shelf: Shelf, name: str, both: list) -> str:
    """What the head says of two drawings, and the pictures that it was given."""
    left, right = (parse_strokes(strokes) for strokes in both)
    if not left or not right:
        return sentence("Draw something on both." if not left and not right else "Now draw on the other one.")
    paper = PAPERS.get(name, PLAIN)
    pictures = [draw_strokes(strokes, paper) for strokes in (left, right)]
    given = "".join(f'<img src="{small_png(picture)}" alt="">' for picture in pictures)
    said = judged_pictures(shelf, name, pictures)
    return f'{said}<div class="la-given"><span>what the network is given</span>{given}</div>'


def advice_html(shelf: Shelf, name: str) -> str:
    """Says plainly when the head in use was not trained on drawings."""
    if name in PAPERS:
        return f'<p class="la-about">Trained on {KINDS[name]}: draw two, in any size.</p>'
    others = [other for other in shelf.names() if other in PAPERS]
    train = " or ".join(f"<code>dvc exp run -S data.name={one}</code> ({kind})" for one, kind in KINDS.items())
    if others:
        do = f"Choose the head {' or '.join(f'<b>{escape(other)}</b>' for other in others)} above."
    else:
        do = f"To train one that was: {train}; then reload this page."
    return (
        f'<p class="la-note">The head <b>{escape(name)}</b> was not trained on drawings: '
        f"it sees yours as any picture, black on white. {do}</p>"
    )

"""The whole page: which head, and three tabs."""

import os
from pathlib import Path

# Before Gradio is imported, which reads them then: nothing is told to anyone.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Gradio asks its own server whether it is up: that is no matter of a proxy.
os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1", "localhost")))

import gradio as gr

from heads.errors import HeadError
from pipeline.demo.available_heads import Shelf
from pipeline.demo.compare_tab import compare_tab
from pipeline.demo.draw_tab import draw_tab
from pipeline.demo.html import about
from pipeline.demo.search_tab import search_tab
from pipeline.demo.uploads import MAX_UPLOAD, one_sentence

HERE = Path(__file__).parent
SYSTEM = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # no font is fetched
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
KEEP = 3600  # seconds that an uploaded file is kept


def build(shelf: Shelf) -> gr.Blocks:
    """
    Raises:
        HeadError: no head in `shelf`.
    """
    names = shelf.names()
    if not names:
        raise HeadError(f"{shelf.artifacts}: no trained head here: run `dvc repro`")
    with gr.Blocks(title="lookalike", analytics_enabled=False, delete_cache=(KEEP, KEEP)) as page:
        with gr.Row(elem_id="la-top"):
            gr.HTML('<h1>lookalike</h1><p class="la-about">Which of these images look alike?</p>')
            head = gr.Dropdown(names, value=names[0], label="Head trained on", scale=0, min_width=220, elem_id="head")
        line = gr.HTML(elem_id="about")
        fills = []
        with gr.Tab("Search", id="search"):
            fills.append(search_tab(shelf, head))
        with gr.Tab("Compare", id="compare"):
            fills.append(compare_tab(shelf, head))
        with gr.Tab("Draw", id="draw"):
            fills.append(draw_tab(shelf, head))

        @one_sentence
        def described(name: str) -> str:
            return about(shelf.get(name))

        gr.on([page.load, head.change], described, head, line, api_name=False, show_progress="hidden")
        for fill in fills:
            gr.on(
                [page.load, head.change],
                fill.refill,
                [head, *fill.reads],
                fill.shows,
                preprocess=False,
                api_name=False,
                show_progress="hidden",
            )
    return page


def serve(page: gr.Blocks, *, port: int, browser: bool, wait: bool = True) -> str:
    """Serve `page` to this machine alone; its address. With `wait`, until it is interrupted."""
    _, address, _ = page.queue(max_size=64, default_concurrency_limit=2).launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=browser,
        prevent_thread_lock=not wait,
        share=False,
        quiet=True,
        show_error=False,
        ssr_mode=False,
        max_file_size=MAX_UPLOAD,
        footer_links=[],
        enable_monitoring=False,
        theme=gr.themes.Base(
            primary_hue="blue", neutral_hue="gray", font=SYSTEM, font_mono=MONO, radius_size=gr.themes.sizes.radius_md
        ),
        css_paths=HERE / "style.css",
    )
    return address
